package modes

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/kube"
)

func TestFind(t *testing.T) {
	for _, name := range append(Names(), "") {
		for _, flavour := range append(Flavours(name), "") {
			m, err := Find(name, flavour)
			if err != nil || name != "" && m.Name() != name {
				t.Errorf("%q, flavour %q: %v, error %v", name, flavour, m, err)
			}
		}
	}
	if m, err := Find("", "legacy"); err != nil || m.Name() != Names()[0] {
		t.Errorf("the default mode is %v, error %v, and first of all is %s", m, err, Names()[0])
	}
	for _, c := range []struct{ name, flavour, want string }{
		{"ebpf", "", `unknown mode "ebpf", expected one of iptables`},
		{"Iptables", "", `unknown mode "Iptables"`},
		{"iptables", "pf", `iptables mode has no flavour "pf", expected one of nft, legacy`},
		{"", "pf", `iptables mode has no flavour "pf"`},
	} {
		if m, err := Find(c.name, c.flavour); m != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, flavour %q: %v, error %v; want %s", c.name, c.flavour, m, err, c.want)
		}
	}
	if f := Flavours("ebpf"); f != nil {
		t.Errorf("flavours of no mode: %v", f)
	}
}

// TestEveryMode holds what [dataplane.Mode] promises of rules and commands.
func TestEveryMode(t *testing.T) {
	service := kube.Service{Namespace: "default", Name: "myservice", Port: 2222, ClusterIP: netip.MustParseAddr("10.108.33.37"),
		Endpoints: []netip.AddrPort{netip.MustParseAddrPort("172.18.166.130:2222"), netip.MustParseAddrPort("172.18.166.131:2222")}}
	fewer := service
	fewer.Endpoints = service.Endpoints[:1]
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			m, err := Find(name, "")
			if err != nil {
				t.Fatal(err)
			}
			two, one := m.Rules(kube.ProxyConfig{}, service), m.Rules(kube.ProxyConfig{}, fewer)
			if two.Err() != nil || !strings.Contains(two.Save(), "172.18.166.131") || strings.Contains(one.Save(), "172.18.166.131") {
				t.Errorf("error %v, rules for two endpoints:\n%s\nfor one:\n%s", two.Err(), two.Save(), one.Save())
			}
			if got := m.Rules(kube.ProxyConfig{}, service).Save(); got != two.Save() {
				t.Errorf("the same rules have another text:\n%s\n%s", two.Save(), got)
			}
			commands := m.Commands(two, one)
			if len(commands) == 0 || slices.ContainsFunc(commands, func(c string) bool { return c == "" || strings.Contains(c, "\n") }) {
				t.Errorf("commands from two endpoints to one: %q", commands)
			}
			if same := m.Commands(two, two); same != nil {
				t.Errorf("commands that change nothing: %q", same)
			}
			if bad := m.Rules(kube.ProxyConfig{}, kube.Service{}); bad.Err() == nil || bad.Save() != "" {
				t.Errorf("an empty service: error %v, rules:\n%s", bad.Err(), bad.Save())
			}
		})
	}
}

// TestNotInstalled: a machine without the mode's programs is told from other errors, and there is no Node.
func TestNotInstalled(t *testing.T) {
	for _, name := range Names() {
		for _, flavour := range Flavours(name) {
			m, err := Find(name, flavour)
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", t.TempDir())
			if n, err := m.Open(nil); err != nil && (n != nil || !errors.Is(err, dataplane.ErrNotInstalled)) { // it may be in /usr/sbin
				t.Errorf("%s, flavour %s: %v, error %v", name, flavour, n, err)
			}
		}
	}
}
