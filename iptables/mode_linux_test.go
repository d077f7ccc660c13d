package iptables

import (
	"errors"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/kube"
)

type otherRules struct{}

func (otherRules) Err() error   { return nil }
func (otherRules) Save() string { return "" }

// TestForeignRules: rules of another mode are refused before anything is done.
func TestForeignRules(t *testing.T) {
	n := &Node{} // has no namespace: whatever is done to it fails otherwise
	for _, err := range []error{n.Install(otherRules{}), n.Sync(otherRules{}), n.Install(nil)} {
		if err == nil || !strings.Contains(err.Error(), "rules of another mode") {
			t.Errorf("error %v", err)
		}
	}
	bad := Rules(kube.ProxyConfig{}, kube.Service{})
	if err := n.Sync(bad); !errors.Is(err, bad.Err()) {
		t.Errorf("error %v, want %v", err, bad.Err())
	}
}

// TestModeNotInstalled: what could not be opened is no Node, not one that holds nothing.
func TestModeNotInstalled(t *testing.T) {
	withoutSbin(t)
	t.Setenv("PATH", t.TempDir())
	if n, err := (Mode{}).Open(nil); n != nil || !errors.Is(err, dataplane.ErrNotInstalled) {
		t.Errorf("node %v, error %v", n, err)
	}
}

// TestProgram: what a person types finds the flavour that the node works with, and its lock.
func TestProgram(t *testing.T) {
	for _, c := range []struct {
		flavour   Flavour
		name      string
		path, env string
	}{
		{NFT, "iptables", "/x/iptables", ""}, {Legacy, "iptables", "/x/iptables", "XTABLES_LOCKFILE=/proc/self/ns/net"},
		{Legacy, "ip", "", ""}, {NFT, "", "", ""},
	} {
		n := &Node{programs: programs{flavour: c.flavour, iptables: "/x/iptables"}}
		if path, env := n.Program(c.name); path != c.path || strings.Join(env, " ") != c.env {
			t.Errorf("%s, %q: path %q, environment %q", c.flavour, c.name, path, env)
		}
	}
}
