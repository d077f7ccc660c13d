package iptables

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRulesAreKubeProxys holds the rules for two endpoints against what a real kube-proxy wrote.
func TestRulesAreKubeProxys(t *testing.T) {
	reference, err := os.ReadFile("testdata/kube-proxy-v1.37.txt")
	if err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	for line := range strings.Lines(Rules(Config{ClusterCIDR: clusterCIDR}, myservice(2)).Save()) {
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
	dns := Service{Namespace: "kube-system", Name: "kube-dns", PortName: "dns", Protocol: UDP}
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
	if diff := cmp.Diff(Rules(Config{}, a, b).Save(), Rules(Config{}, c, a).Save()); diff != "" {
		t.Error(diff)
	}
}

// TestRulesLargeCluster: above 1000 endpoints kube-proxy leaves out most comments.
func TestRulesLargeCluster(t *testing.T) {
	const text = `--comment "default/myservice -> 172.18.166.130:2222"`
	if rules := Rules(Config{}, myservice(1000)).Save(); !strings.Contains(rules, text) {
		t.Error("no comments for 1000 endpoints")
	}
	if rules := Rules(Config{}, myservice(1001)).Save(); strings.Contains(rules, text) {
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

func TestValidate(t *testing.T) {
	six := netip.MustParseAddrPort("[fd00::1]:80")
	for _, c := range []struct {
		name   string
		change func(*Service)
		want   []string // parts of the error; none for no error
	}{
		{"valid", func(*Service) {}, nil},
		{"no names", func(s *Service) { s.Namespace, s.Name = "", "" }, []string{"namespace is empty", "name is empty"}},
		{"quote in the name", func(s *Service) { s.Name = `x" -j ACCEPT` }, []string{"characters other than"}},
		{"long name", func(s *Service) { s.Name = strings.Repeat("x", 64) }, []string{"at most 63"}},
		{"no address", func(s *Service) { s.ClusterIP = netip.Addr{} }, []string{"cluster IP: no address"}},
		{"IPv6 cluster IP", func(s *Service) { s.ClusterIP = six.Addr() }, []string{"fd00::1 is not an IPv4 address, only IPv4"}},
		{"IPv6 endpoint", func(s *Service) { s.Endpoints[0] = six }, []string{"endpoint [fd00::1]:80: fd00::1 is not an IPv4"}},
		{"mapped endpoint", func(s *Service) {
			s.Endpoints[0] = netip.MustParseAddrPort("[::ffff:10.0.0.1]:80")
		}, []string{"only IPv4"}},
		{"no port", func(s *Service) { s.Port = 0 }, []string{"the port is 0"}},
		{"no endpoint port", func(s *Service) {
			s.Endpoints[0] = netip.MustParseAddrPort("10.0.0.1:0")
		}, []string{"endpoint 10.0.0.1:0: the port is 0"}},
		{"protocol", func(s *Service) { s.Protocol = 7 }, []string{"unknown protocol(7)"}},
		{"affinity in parts of a second", func(s *Service) { s.Affinity = 1500 * time.Millisecond }, []string{"whole seconds"}},
		{"long affinity", func(s *Service) { s.Affinity = 25 * time.Hour }, []string{"up to 24h"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := myservice(2)
			c.change(&s)
			checkError(t, s.Validate(), c.want)
			checkError(t, Rules(Config{}, s).Err(), c.want)
		})
	}
}

func TestRulesErr(t *testing.T) {
	a, b := myservice(1), myservice(1)
	b.Name = "other"
	a.NodePort, b.NodePort = 30222, 30222
	checkError(t, Rules(Config{}, a, a).Err(), []string{"the name default/myservice (tcp) is taken"})
	checkError(t, Rules(Config{}, a, b).Err(), []string{"tcp port 2222 of 10.108.33.37 is taken by service default/myservice",
		"tcp node port 30222 is taken"})
	checkError(t, Rules(Config{ClusterCIDR: netip.MustParsePrefix("fd00::/8")}).Err(), []string{"not an IPv4 prefix"})
	if rs := Rules(Config{}, a, a); rs.Save() != "" {
		t.Errorf("invalid services have rules:\n%s", rs.Save())
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
