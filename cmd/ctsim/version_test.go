package main

import "testing"

// TestThisBuild: a release says what the linker has set: the tag, the commit, and whether files were changed since.
func TestThisBuild(t *testing.T) {
	defer func(v, c string) { version, commit = v, c }(version, commit)
	version, commit = "v1.2.3-4-g0123456-dirty", "0123456789abcdef0123456789abcdef01234567"
	if b := thisBuild(); b.Version != version || b.Commit != "0123456789ab" || !b.Modified {
		t.Errorf("changed: %+v", b)
	}
	version = "v1.2.3"
	if b := thisBuild(); b.Version != version || b.Commit != "0123456789ab" || b.Modified {
		t.Errorf("as committed: %+v", b)
	}
	version, commit = "", ""
	if b := thisBuild(); b.Version == "" {
		t.Errorf("without the linker: %+v", b)
	}
}
