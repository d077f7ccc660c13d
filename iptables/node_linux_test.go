package iptables

import (
	"os"
	"testing"

	"github.com/ctsim/ctsim/topology"
	"github.com/google/go-cmp/cmp"
)

// needKernel skips a test that makes namespaces when it may not, unless CTSIM_REQUIRE_KERNEL=1 says that it must run.
func needKernel(t testing.TB) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	const how = "needs root, or: unshare -Ur go test ./iptables"
	if os.Getenv("CTSIM_REQUIRE_KERNEL") == "1" {
		t.Fatal(how)
	}
	t.Skip(how)
}

// newNode makes an empty namespace and a Node for it.
func newNode(t testing.TB, flavour Flavour) *Node {
	t.Helper()
	ns, err := topology.NewNamespace("node")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	n, err := Open(ns, flavour)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var (
	flavours = []Flavour{NFT, Legacy}
	methods  = []struct {
		name string
		Method
	}{{"calls", Calls}, {"restore", Restore}}
)

// TestKernelInstall: what the kernel holds after an installation, by either method and in either flavour, is what the
// RuleSet says it holds, and what the golden file says.
func TestKernelInstall(t *testing.T) {
	needKernel(t)
	for _, c := range matrix() {
		for _, flavour := range flavours {
			for _, m := range methods {
				t.Run(c.name+"/"+string(flavour)+"/"+m.name, func(t *testing.T) {
					t.Parallel()
					n := newNode(t, flavour)
					rs := Rules(c.cfg, c.services...)
					if err := n.InstallWith(m.Method, rs); err != nil {
						t.Fatal(err)
					}
					got, err := n.Save()
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(rs.Save(), got); diff != "" {
						t.Errorf("the kernel's rules differ (-rules +kernel):\n%s", diff)
					}
					if diff := cmp.Diff(golden(t, c.name), got); diff != "" {
						t.Errorf("the kernel's rules differ from the golden file (-golden +kernel):\n%s", diff)
					}
				})
			}
		}
	}
}
