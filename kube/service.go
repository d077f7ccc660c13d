package kube

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Protocol is the transport protocol of a service. The zero value is TCP.
type Protocol uint8

// The protocols a service can have.
const (
	TCP Protocol = iota
	UDP
)

// String is the protocol in lower case, "tcp" or "udp", as kube-proxy and the tools of the kernel write it.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	default:
		return fmt.Sprintf("protocol(%d)", uint8(p))
	}
}

// Service is one port of a Kubernetes Service, as kube-proxy sees it: its servicePortName and BaseServicePortInfo, with
// the endpoints that traffic may go to now. A Service of several ports is several of these.
type Service struct {
	// Namespace and Name are the Service's, "default" and "myservice".
	Namespace, Name string
	// PortName is the name of the port, empty if it has none.
	PortName string
	// ClusterIP is the virtual address, IPv4.
	ClusterIP netip.Addr
	// Port is the virtual port, 1 to 65535.
	Port uint16
	// Protocol is TCP unless set.
	Protocol Protocol
	// NodePort is the port open on every node, 0 for none.
	NodePort uint16
	// Affinity is how long a client address stays with its endpoint (sessionAffinity: ClientIP), whole seconds from
	// 1 s to 86400 s. 0 means no affinity. Kubernetes' default, where affinity is asked for, is 10800 s.
	Affinity time.Duration
	// Endpoints are the addresses of the pods that traffic may go to, IPv4, in any order; the rules have them as
	// [Service.SortedEndpoints] does. Empty means that connections are rejected.
	Endpoints []netip.AddrPort
}

// MaxName is Kubernetes' limit for the name of a Service or a Namespace (a DNS label), in bytes.
const MaxName = 63

// maxAffinity is Kubernetes' limit for sessionAffinityConfig.clientIP.timeoutSeconds.
const maxAffinity = 86400 * time.Second

// String is what kube-proxy calls the service in comments and hashes: "default/myservice", or
// "default/myservice:http" if the port is named.
func (s Service) String() string {
	name := s.Namespace + "/" + s.Name
	if s.PortName != "" {
		name += ":" + s.PortName
	}
	return name
}

// Validate tells every reason why no rules can be written for the service, joined; nil if there is none.
func (s Service) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("service %s: "+format, append([]any{s}, args...)...))
	}
	for _, part := range []struct{ what, value string }{
		{"namespace", s.Namespace}, {"name", s.Name}, {"port name", s.PortName},
	} {
		if part.value == "" && part.what != "port name" {
			bad("the %s is empty", part.what)
		}
		// A quote or a line break would end the rule's comment and begin a rule of its own.
		if strings.ContainsFunc(part.value, func(r rune) bool { return !isNameRune(r) }) {
			bad("the %s %q has characters other than a-z, 0-9, '-' and '.'", part.what, part.value)
		}
		// A rule's comment holds both names and has room for 255 bytes.
		if len(part.value) > MaxName {
			bad("the %s is %d characters long, expected at most %d", part.what, len(part.value), MaxName)
		}
	}
	if s.Protocol > UDP {
		bad("unknown %s, expected tcp or udp", s.Protocol)
	}
	if err := checkIPv4(s.ClusterIP); err != nil {
		bad("cluster IP: %w", err)
	}
	if s.Port == 0 {
		bad("the port is 0, expected 1 to 65535")
	}
	if s.Affinity < 0 || s.Affinity > maxAffinity || s.Affinity%time.Second != 0 {
		bad("session affinity of %v, expected whole seconds up to %v, or 0 for none", s.Affinity, maxAffinity)
	}
	for _, ep := range s.Endpoints {
		if err := checkIPv4(ep.Addr()); err != nil {
			bad("endpoint %v: %w", ep, err)
		} else if ep.Port() == 0 {
			bad("endpoint %v: the port is 0, expected 1 to 65535", ep)
		}
	}
	return errors.Join(errs...)
}

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.'
}

func checkIPv4(a netip.Addr) error {
	switch {
	case !a.IsValid():
		return errors.New("no address")
	case !a.Is4():
		return fmt.Errorf("%v is not an IPv4 address, only IPv4 is supported", a)
	case a.IsUnspecified():
		return fmt.Errorf("%v is no address of a host", a)
	}
	return nil
}

// SortedEndpoints are the service's endpoints as kube-proxy orders them, each once: by string, so that 10.0.0.10:80 stands
// before 10.0.0.9:80.
func (s Service) SortedEndpoints() []netip.AddrPort {
	eps := slices.Clone(s.Endpoints)
	slices.SortFunc(eps, func(a, b netip.AddrPort) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(eps)
}
