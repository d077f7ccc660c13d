package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// githubFile reads one of the files that the repository's host reads.
func githubFile(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(root, ".github", path))), into); err != nil {
		t.Errorf("%s: %v", path, err)
	}
}

// TestWorkflow: the workflow runs .ci/run, and what else of the repository its steps call exists.
func TestWorkflow(t *testing.T) {
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct{ Uses, Run string }
		}
	}
	githubFile(t, "workflows/ci.yml", &workflow)
	makefile := read(t, filepath.Join(root, "Makefile"))
	runs := map[string]int{}
	for job, j := range workflow.Jobs {
		if len(j.Steps) == 0 {
			t.Errorf("%s has no steps", job)
		}
		for _, step := range j.Steps {
			if (step.Uses == "") == (step.Run == "") {
				t.Errorf("%s: a step has to use or run something: %+v", job, step)
			}
			for line := range strings.Lines(step.Run) {
				words := strings.Fields(line)
				runs[words[0]]++
				if strings.HasPrefix(words[0], ".ci/") {
					if info, err := os.Stat(filepath.Join(root, words[0])); err != nil || info.Mode()&0o111 == 0 {
						t.Errorf("%s runs %s: %v", job, words[0], err)
					}
				}
				if target := words[len(words)-1]; words[0] == "make" && !strings.Contains(makefile, "\n"+target+":") {
					t.Errorf("%s makes %s, which does not exist", job, target)
				}
			}
		}
	}
	if runs[".ci/run"] == 0 {
		t.Error("no job runs .ci/run")
	}
}

// TestIssueTemplates: a template asks for what a report is worth little without.
func TestIssueTemplates(t *testing.T) {
	templates, err := filepath.Glob(filepath.Join(root, ".github", "ISSUE_TEMPLATE", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	asking := 0
	for _, path := range templates {
		if filepath.Base(path) == "config.yml" {
			continue
		}
		asking++
		var form struct {
			Name, Description string
			Body              []struct {
				Type       string
				ID         string
				Attributes struct{ Label, Description string }
			}
		}
		githubFile(t, filepath.Join("ISSUE_TEMPLATE", filepath.Base(path)), &form)
		if form.Name == "" || form.Description == "" || len(form.Body) == 0 {
			t.Errorf("%s is no issue form: %+v", path, form)
		}
		ids := regexp.MustCompile(`^[a-z-]+$`)
		var asked string
		for _, field := range form.Body {
			if !ids.MatchString(field.ID) || field.Attributes.Label == "" {
				t.Errorf("%s: a field needs an id and a label: %+v", path, field)
			}
			asked += field.Attributes.Label + " " + field.Attributes.Description + "\n"
		}
		for _, want := range []string{"`ctsim version`", "ctsim run NAME --output json", "result.json"} {
			if !strings.Contains(asked, want) {
				t.Errorf("%s does not ask for %s", path, want)
			}
		}
	}
	if asking == 0 {
		t.Error("there is no issue template")
	}
}
