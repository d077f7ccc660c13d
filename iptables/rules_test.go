package iptables

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/kube"
)

// TestRulesAreKubeProxys holds the rules for two endpoints against what a real kube-proxy wrote.
func TestRulesAreKubeProxys(t *testing.T) {
	reference, err := os.ReadFile("testdata/kube-proxy-v1.37.txt")
	if err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	for line := range strings.Lines(Rules(kube.ProxyConfig{ClusterCIDR: clusterCIDR}, myservice(2)).Save()) {
		if strings.HasPrefix(line, "*") || strings.HasPrefix(line, "-A") {
			rules.WriteString(line)
		}
	}
	if diff := cmp.Diff(string(reference), rules.String()); diff != "" {
		t.Errorf("rules differ from kube-proxy's (-kube-proxy +ctsim):\n%s", diff)
	}
}

func TestChainNames(t *testing.T) {
	s := myservice(1)
	dns := kube.Service{Namespace: "kube-system", Name: "kube-dns", PortName: "dns", Protocol: kube.UDP}
	for _, c := range []struct{ got, want string }{
		{ServiceChain(s), "KUBE-SVC-OU4YAF3JEHVEJFUL"},
		{ExternalChain(s), "KUBE-EXT-OU4YAF3JEHVEJFUL"},
		{EndpointChain(s, s.Endpoints[0]), "KUBE-SEP-PJ4FHXCE35HSVDDE"},
		{ServiceChain(dns), "KUBE-SVC-TCOU7JCQXEZGVUNU"}, // the same on every cluster there is
	} {
		if c.got != c.want {
			t.Errorf("chain %s, want %s", c.got, c.want)
		}
	}
}

// TestRulesOrder: neither the order of services nor that of endpoints changes a rule.
func TestRulesOrder(t *testing.T) {
	a, b := myservice(3), myservice(0)
	b.Name, b.ClusterIP = "another", netip.MustParseAddr("10.108.33.38")
	b.Endpoints = []netip.AddrPort{a.Endpoints[2], a.Endpoints[0], a.Endpoints[1]}
	c := b
	c.Endpoints = a.Endpoints
	if diff := cmp.Diff(Rules(kube.ProxyConfig{}, a, b).Save(), Rules(kube.ProxyConfig{}, c, a).Save()); diff != "" {
		t.Error(diff)
	}
}

// TestRulesLargeCluster: above 1000 endpoints kube-proxy leaves out most comments.
func TestRulesLargeCluster(t *testing.T) {
	const text = `--comment "default/myservice -> 172.18.166.130:2222"`
	if rules := Rules(kube.ProxyConfig{}, myservice(1000)).Save(); !strings.Contains(rules, text) {
		t.Error("no comments for 1000 endpoints")
	}
	if rules := Rules(kube.ProxyConfig{}, myservice(1001)).Save(); strings.Contains(rules, text) {
		t.Error("comments for 1001 endpoints")
	}
}

func TestProbability(t *testing.T) {
	for _, c := range []struct {
		left           int
		written, saved string
	}{
		{2, "0.5000000000", "0.50000000000"},
		{3, "0.3333333333", "0.33333333349"},
		{5, "0.2000000000", "0.20000000019"},
	} {
		if got := probability(c.left); got != c.written {
			t.Errorf("probability(%d) = %s, want %s", c.left, got, c.written)
		}
		if got := savedProbability(c.written); got != c.saved {
			t.Errorf("savedProbability(%s) = %s, want %s", c.written, got, c.saved)
		}
	}
}

// TestRulesErr: what is not valid has no rules, and says why.
func TestRulesErr(t *testing.T) {
	bad := myservice(1)
	bad.Port = 0
	for _, rs := range []RuleSet{
		Rules(kube.ProxyConfig{}, bad), Rules(kube.ProxyConfig{}, myservice(1), myservice(2)),
		Rules(kube.ProxyConfig{ClusterCIDR: netip.MustParsePrefix("fd00::/8")}, myservice(1)),
	} {
		if rs.Err() == nil || rs.Save() != "" {
			t.Errorf("error %v, rules:\n%s", rs.Err(), rs.Save())
		}
	}
}

func checkError(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		if len(want) > 0 {
			t.Errorf("no error, want %q", want)
		}
		return
	}
	if len(want) == 0 {
		t.Errorf("error: %v", err)
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q, want %q in it", err, part)
		}
	}
}
