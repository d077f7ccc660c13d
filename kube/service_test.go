package kube

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// myservice is the service of the reference text, with n endpoints.
func myservice(n int) Service {
	s := Service{Namespace: "default", Name: "myservice", ClusterIP: netip.MustParseAddr("10.108.33.37"), Port: 2222}
	addr := netip.MustParseAddr("172.18.166.130")
	for range n {
		s.Endpoints = append(s.Endpoints, netip.AddrPortFrom(addr, 2222))
		addr = addr.Next()
	}
	return s
}

// TestServiceString: the name of a service is what its chains' names are hashes of, too.
func TestServiceString(t *testing.T) {
	s := myservice(0)
	if got := s.String(); got != "default/myservice" {
		t.Errorf("got %q", got)
	}
	s.PortName = "http"
	if got := s.String(); got != "default/myservice:http" {
		t.Errorf("got %q", got)
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
			checkError(t, Validate(ProxyConfig{}, s), c.want)
		})
	}
}

// TestValidateTogether: what single services cannot show.
func TestValidateTogether(t *testing.T) {
	a, b := myservice(1), myservice(1)
	b.Name = "other"
	a.NodePort, b.NodePort = 30222, 30222
	checkError(t, Validate(ProxyConfig{}, a, a), []string{"the name default/myservice (tcp) is taken"})
	checkError(t, Validate(ProxyConfig{}, a, b), []string{"tcp port 2222 of 10.108.33.37 is taken by service default/myservice",
		"tcp node port 30222 is taken"})
	b.Protocol = UDP
	checkError(t, Validate(ProxyConfig{}, a, b), nil)
	checkError(t, Validate(ProxyConfig{ClusterCIDR: netip.MustParsePrefix("fd00::/8")}), []string{"not an IPv4 prefix"})
	checkError(t, Validate(ProxyConfig{ClusterCIDR: netip.MustParsePrefix("172.18.0.0/16")}), nil)
}

// TestSortedEndpoints: as kube-proxy orders them, by string, each once; the service's own stay as they are.
func TestSortedEndpoints(t *testing.T) {
	s := myservice(0)
	for _, ep := range []string{"10.0.0.9:80", "10.0.0.10:80", "10.0.0.10:8080", "10.0.0.9:80"} {
		s.Endpoints = append(s.Endpoints, netip.MustParseAddrPort(ep))
	}
	const want = "[10.0.0.10:80 10.0.0.10:8080 10.0.0.9:80]"
	if got := fmt.Sprint(s.SortedEndpoints()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := fmt.Sprint(s.Endpoints); got != "[10.0.0.9:80 10.0.0.10:80 10.0.0.10:8080 10.0.0.9:80]" {
		t.Errorf("sorting changed the service's own: %s", got)
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
