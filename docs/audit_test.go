package docs_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/probe/audit"
)

// TestAuditFields: audit.md has each field of the document, in the order of the code, and no other.
func TestAuditFields(t *testing.T) {
	document := read(t, "audit.md")
	for heading, of := range map[string]reflect.Type{
		"## The document": reflect.TypeFor[audit.Report](),
		"## namespaces":   reflect.TypeFor[audit.Namespace](),
		"## connections":  reflect.TypeFor[audit.Connection](),
		"## entries":      reflect.TypeFor[audit.Entry](),
	} {
		if diff := cmp.Diff(fields(of), tabled(document, heading)); diff != "" {
			t.Errorf("audit.md, %s (-code +document):\n%s", heading, diff)
		}
	}
	// The small ones are told in the row of the field that holds them.
	for row, of := range map[string]reflect.Type{
		"summary": reflect.TypeFor[audit.Summary](), "conntrack": reflect.TypeFor[audit.TableFacts](), "process": reflect.TypeFor[audit.Process](),
		"keepalive": reflect.TypeFor[audit.Keepalive](), "original": reflect.TypeFor[audit.Tuple](),
	} {
		i := strings.Index(document, "\n| `"+row+"` |")
		line, _, _ := strings.Cut(document[i+1:], "\n")
		for _, name := range fields(of) {
			if !strings.Contains(line, "`"+name+"`") {
				t.Errorf("audit.md, %s: %s is missing", row, name)
			}
		}
	}
	if want := fmt.Sprintf("`schema` is %d.", audit.SchemaVersion); !strings.Contains(document, want) {
		t.Errorf("audit.md does not say: %s", want)
	}
}

// TestAuditReasons: the table has every reason with its verdict.
func TestAuditReasons(t *testing.T) {
	document := read(t, "audit.md")
	named := tabled(document, "## How it is judged")
	for reason, verdict := range audit.Reasons {
		if !slices.Contains(named, string(reason)) || !strings.Contains(document, fmt.Sprintf("| `%s` | %s |", reason, verdict)) {
			t.Errorf("audit.md does not say that %s is %s", reason, verdict)
		}
	}
	if len(named) != len(audit.Reasons) {
		t.Errorf("audit.md has %d reasons, there are %d", len(named), len(audit.Reasons))
	}
}
