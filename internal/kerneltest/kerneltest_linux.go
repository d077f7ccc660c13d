// Package kerneltest is what tests of the kernel have in common: a test that cannot run here says so and is skipped, and
// fails instead with CTSIM_REQUIRE_KERNEL=1.
package kerneltest

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Required tells whether a test that cannot run has to fail.
func Required() bool { return os.Getenv("CTSIM_REQUIRE_KERNEL") == "1" }

// Need skips a test, or fails it, unless it is run by root, be it of a user namespace.
func Need(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if Required() {
		t.Fatal("kernel test not run as root")
	}
	t.Skip("kernel tests need root or `unshare -Urnm`")
}

// Cannot skips a test that this machine or user cannot run, or fails it. Needs says what it takes.
func Cannot(t testing.TB, needs string, err error) {
	t.Helper()
	if Required() {
		t.Fatalf("CTSIM_REQUIRE_KERNEL=1: %v", err)
	}
	t.Skipf("needs %s: %v", needs, err)
}

// UntilEnd closes what a test has opened when the test ends, and fails it if that fails.
func UntilEnd(t testing.TB, c io.Closer) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Namespace is where a program can be run; *topology.Namespace is one.
type Namespace interface {
	// Do runs a function on a thread in the namespace.
	Do(func() error) error
}

// Output runs a program in a namespace and gives what it wrote to stdout and stderr; the program has to succeed.
func Output(t testing.TB, ns Namespace, name string, args ...string) string {
	t.Helper()
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
