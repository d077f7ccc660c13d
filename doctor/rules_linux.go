package doctor

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/dataplane/modes"
	"github.com/ctsim/ctsim/kube"
	"github.com/ctsim/ctsim/topology"
)

// anyRule installs a rule that needs no match, by the command `iptables` of this machine, and reads it back.
func anyRule(b *bench) error {
	return b.withRules("", func(n dataplane.Node) error {
		if err := n.Append("filter", "FORWARD", "-s", "172.18.219.65/32", "-j", "DROP"); err != nil {
			return err
		}
		text, err := n.Save()
		if err == nil && !strings.Contains(text, "-A FORWARD -s 172.18.219.65/32 -j DROP\n") {
			err = errors.New("iptables took a rule, and iptables-save does not show it")
		}
		return err
	})
}

// rule installs one rule, in a namespace where nothing meets it.
func rule(table, chain, text string) func(*bench) error {
	return func(b *bench) error {
		err := b.withRules("", func(n dataplane.Node) error { return n.Append(table, chain, strings.Fields(text)...) })
		if errors.Is(err, dataplane.ErrNotInstalled) {
			return &buildsOn{"iptables", err}
		}
		return err
	}
}

// kubeProxyRules installs all that kube-proxy would write for a service with two endpoints, by one flavour.
func kubeProxyRules(flavour string) func(*bench) error {
	return func(b *bench) error {
		service := kube.Service{
			Namespace: "default", Name: "myservice", Port: 2222, NodePort: 30222, Affinity: 3 * time.Hour,
			ClusterIP: netip.MustParseAddr("10.108.33.37"),
			Endpoints: []netip.AddrPort{
				netip.MustParseAddrPort("172.18.166.130:2222"), netip.MustParseAddrPort("172.18.166.131:2222"),
			},
		}
		return b.withRulesIn(flavour, func(_ *topology.Namespace, m dataplane.Mode, n dataplane.Node) error {
			return n.Install(m.Rules(kube.ProxyConfig{MasqueradeAll: true}, service))
		})
	}
}

func (b *bench) withRules(flavour string, f func(dataplane.Node) error) error {
	return b.withRulesIn(flavour, func(_ *topology.Namespace, _ dataplane.Mode, n dataplane.Node) error { return f(n) })
}

// withRulesIn gives f the rules of a namespace, the namespace, and the mode they are of: iptables, in a flavour.
func (b *bench) withRulesIn(flavour string, f func(*topology.Namespace, dataplane.Mode, dataplane.Node) error) error {
	return b.within(func(ns *topology.Namespace) error {
		mode, err := modes.Find("iptables", flavour)
		if err != nil {
			return err
		}
		n, err := mode.Open(ns)
		if err != nil {
			return err
		}
		return f(ns, mode, n)
	})
}
