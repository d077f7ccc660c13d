package systemtest

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// Leavings is what a run could leave that is not a process or a file.
type Leavings struct {
	mounted string // namespaces that a mount holds, named ones among them
	links   string
}

// LeavingsNow is what there is of it now.
func LeavingsNow(t *testing.T) Leavings {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var l Leavings
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " - nsfs ") {
			l.mounted += line
		}
	}
	l.mounted += strings.Join(Folder(t, "/run/netns"), " ")
	l.links = strings.Join(Folder(t, "/sys/class/net"), " ")
	return l
}

// Folder is the names in a folder; none if there is no such folder.
func Folder(t *testing.T, name string) []string {
	t.Helper()
	entries, err := os.ReadDir(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
