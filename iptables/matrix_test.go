package iptables

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/kube"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A matrixCase is a node and its services; testdata/NAME.rules is what iptables-save must show for it. The pure tests
// compare texts, the kernel tests what a kernel made of them.
type matrixCase struct {
	name     string
	cfg      kube.ProxyConfig
	services []kube.Service
}

var clusterCIDR = netip.MustParsePrefix("172.18.0.0/16")

// myservice is the service of the reference text, with n endpoints.
func myservice(n int, change ...func(*kube.Service)) kube.Service {
	s := kube.Service{Namespace: "default", Name: "myservice", ClusterIP: netip.MustParseAddr("10.108.33.37"), Port: 2222}
	addr := netip.MustParseAddr("172.18.166.130")
	for range n {
		s.Endpoints = append(s.Endpoints, netip.AddrPortFrom(addr, 2222))
		addr = addr.Next()
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

func matrix() []matrixCase {
	cidr := kube.ProxyConfig{ClusterCIDR: clusterCIDR}
	nodePort := func(s *kube.Service) { s.NodePort = 30222 }
	affinity := func(s *kube.Service) { s.Affinity = 10800 * time.Second }
	other := func(s *kube.Service) {
		s.Namespace, s.Name, s.PortName = "kube-system", "kube-dns", "dns"
		s.Protocol, s.Port, s.ClusterIP = kube.UDP, 53, netip.MustParseAddr("10.96.0.10")
		for i := range s.Endpoints {
			s.Endpoints[i] = netip.AddrPortFrom(s.Endpoints[i].Addr(), 53)
		}
	}
	empty := func(s *kube.Service) { s.Name, s.ClusterIP = "empty", netip.MustParseAddr("10.108.33.38") }
	unsorted := func(s *kube.Service) {
		s.Endpoints = nil
		for _, ep := range []string{"10.0.0.9:80", "10.0.0.10:80", "10.0.0.10:8080", "10.0.0.9:80"} {
			s.Endpoints = append(s.Endpoints, netip.MustParseAddrPort(ep))
		}
	}
	return []matrixCase{
		{"no-service", cidr, nil},
		{"endpoints-0", cidr, []kube.Service{myservice(0)}},
		{"endpoints-1", cidr, []kube.Service{myservice(1)}},
		{"endpoints-2", cidr, []kube.Service{myservice(2)}},
		{"endpoints-3", cidr, []kube.Service{myservice(3)}},
		{"endpoints-5", cidr, []kube.Service{myservice(5)}},
		{"endpoints-unsorted", cidr, []kube.Service{myservice(0, unsorted)}},
		{"affinity", cidr, []kube.Service{myservice(2, affinity)}},
		{"affinity-nodeport-3", cidr, []kube.Service{myservice(3, affinity, nodePort)}},
		{"nodeport", cidr, []kube.Service{myservice(2, nodePort)}},
		{"nodeport-endpoints-0", cidr, []kube.Service{myservice(0, nodePort)}},
		{"masquerade-all", kube.ProxyConfig{ClusterCIDR: clusterCIDR, MasqueradeAll: true}, []kube.Service{myservice(2)}},
		{"no-cluster-cidr", kube.ProxyConfig{}, []kube.Service{myservice(2)}},
		{"no-invalid-drop", kube.ProxyConfig{ClusterCIDR: clusterCIDR, NoInvalidDrop: true}, []kube.Service{myservice(2)}},
		{"named-port", cidr, []kube.Service{myservice(2, func(s *kube.Service) { s.PortName = "tcp-echo" })}},
		{"udp", cidr, []kube.Service{myservice(2, func(s *kube.Service) { s.Protocol = kube.UDP })}},
		{"udp-endpoints-0", cidr, []kube.Service{myservice(0, func(s *kube.Service) { s.Protocol = kube.UDP })}},
		{"several-services", cidr, []kube.Service{myservice(3, nodePort), myservice(0, empty), myservice(2, other)}},
	}
}

func goldenPath(name string) string { return filepath.Join("testdata", name+".rules") }

// golden reads the golden file of a case. A missing one is a failure, not a reason to make it.
func golden(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(goldenPath(name))
	if err != nil {
		t.Fatalf("%v; write it with: go test ./iptables -update, and read it before you commit it", err)
	}
	return string(b)
}

func TestRulesMatrix(t *testing.T) {
	for _, c := range matrix() {
		t.Run(c.name, func(t *testing.T) {
			rs := Rules(c.cfg, c.services...)
			if err := rs.Err(); err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(goldenPath(c.name), []byte(rs.Save()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(golden(t, c.name), rs.Save()); diff != "" {
				t.Errorf("rules differ from the golden file (-golden +rules):\n%s", diff)
			}
		})
	}
}

// TestNoStrayGolden finds goldens that no case compares any more.
func TestNoStrayGolden(t *testing.T) {
	known := map[string]bool{}
	for _, c := range matrix() {
		known[goldenPath(c.name)] = true
	}
	files, err := filepath.Glob(goldenPath("*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f] {
			t.Errorf("%s belongs to no case of the matrix: delete it", f)
		}
	}
}
