package kube

import (
	"errors"
	"fmt"
	"net/netip"
)

// ProxyConfig holds the settings of kube-proxy on one node that change its rules. The zero value masquerades nothing and
// drops INVALID packets.
type ProxyConfig struct {
	// ClusterCIDR is the range of the pods' addresses (clusterCIDR, --cluster-cidr). Traffic to a cluster IP from elsewhere is
	// masqueraded. The zero value means that kube-proxy was not told: nothing is masqueraded on that ground.
	ClusterCIDR netip.Prefix
	// MasqueradeAll masquerades all traffic to cluster IPs (masqueradeAll, --masquerade-all).
	MasqueradeAll bool
	// NoInvalidDrop leaves out the rule that drops packets conntrack calls INVALID. kube-proxy leaves it out if
	// nf_conntrack_tcp_be_liberal is not 0 when it starts, and did not have it before v1.15.
	NoInvalidDrop bool
}

// Validate tells why no rules can be written for the settings; nil if they can.
func (c ProxyConfig) Validate() error {
	if c.ClusterCIDR == (netip.Prefix{}) {
		return nil
	}
	if !c.ClusterCIDR.IsValid() || !c.ClusterCIDR.Addr().Is4() {
		return fmt.Errorf("cluster CIDR: %v is not an IPv4 prefix, only IPv4 is supported", c.ClusterCIDR)
	}
	return nil
}

// Validate checks the settings, each service, and that no two services claim the same name, address or node port. It
// tells every reason why no rules can be written for them, joined; nil if there is none.
func Validate(cfg ProxyConfig, services ...Service) error {
	errs := []error{cfg.Validate()}
	owner := map[string]Service{}
	claim := func(s Service, what string) {
		if other, taken := owner[what]; taken {
			errs = append(errs, fmt.Errorf("service %s: %s is taken by service %s", s, what, other))
			return
		}
		owner[what] = s
	}
	for _, s := range services {
		errs = append(errs, s.Validate())
		claim(s, fmt.Sprintf("the name %s (%s)", s, s.Protocol))
		claim(s, fmt.Sprintf("%s port %d of %s", s.Protocol, s.Port, s.ClusterIP))
		if s.NodePort != 0 {
			claim(s, fmt.Sprintf("%s node port %d", s.Protocol, s.NodePort))
		}
	}
	return errors.Join(errs...)
}
