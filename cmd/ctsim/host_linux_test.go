package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
)

// TestKernelHostStaysAsItIs: the rules, links, sysctls and conntrack count of the namespace that ctsim is started in
// are the same after a run as before it.
func TestKernelHostStaysAsItIs(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		// The first run may load modules, which bring sysctls of their own.
		if _, stderr, code := b.Run(t, "run", "flush-multi-backend"); code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		before := hostNow(t)
		for _, args := range [][]string{{"run", "flush-multi-backend"}, {"run", "flush-multi-backend", "--iptables", "legacy"}} {
			if _, stderr, code := b.Run(t, args...); code != 0 {
				t.Errorf("%v: exit code %d: %s", args, code, stderr)
			}
		}
		// Other traffic of the machine may move the count for a while.
		systemtest.Eventually(t, "the host changed", func() any { return cmp.Diff(before, hostNow(t)) }, func(v any) bool { return v == "" })
	})
}

// hostNow is the host's rules of both flavours, its links, the net sysctls and its number of conntrack entries.
func hostNow(t *testing.T) map[string]string {
	t.Helper()
	host := map[string]string{"links": strings.Join(systemtest.Folder(t, "/sys/class/net"), " ")}
	for _, command := range []string{"iptables-nft-save", "iptables-legacy-save"} {
		path, err := exec.LookPath(command)
		if err != nil {
			continue
		}
		out, err := exec.Command(path).Output()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		host[command] = savedRules.ReplaceAllString(string(out), "")
	}
	// The count of conntrack entries is among the sysctls.
	err := filepath.WalkDir("/proc/sys/net", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		value, err := os.ReadFile(path)
		if err != nil {
			value = fmt.Append(nil, err) // some are write-only
		}
		host[path] = string(value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// savedRules matches what differs between two iptables-save of the same rules: dates and counters.
var savedRules = regexp.MustCompile(`(?m)^#.*\n|\[\d+:\d+\]`)
