package topology

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// veth joins two namespaces: name is the end in near, the far end is eth0. Both ends are made inside their namespaces
// by one message. master is the index of near's bridge, or 0.
// Equivalent: `ip link add NAME netns NEAR master M up type veth peer name eth0 netns FAR`, `ip link set eth0 up`.
func veth(near *member, name string, far *member, master int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex, attrs.Flags = name, master, net.FlagUp
	link := &netlink.Veth{LinkAttrs: attrs, PeerName: Uplink, PeerNamespace: netlink.NsFd(far.Fd())}
	if err := near.links.LinkAdd(link); err != nil {
		return fmt.Errorf("veth %s (%s) to %s: %w", name, near.name, far.name, err)
	}
	// The kernel refuses a peer that is up in the creating message (ENOTCONN).
	if err := far.setUp(Uplink); err != nil {
		return err
	}
	made, err := near.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", near.name, name, err)
	}
	near.veths = append(near.veths, made.Attrs().Index)
	return nil
}

// addBridge is `ip link add cni0 up type bridge mcast_snooping 0` and, if address is valid, its address. It then has a MAC
// address of its own too, as the CNI's bridge has: the one that a bridge takes from its ports changes when a pod comes or goes,
// and what other pods send to their gateway is lost until they ask for it anew.
func (m *member) addBridge(address netip.Addr, bits int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Flags = bridgeName, net.FlagUp
	if address.IsValid() {
		ip := address.As16()
		attrs.HardwareAddr = append(net.HardwareAddr{0x0a, 0x58}, ip[12:]...)
	}
	off := false
	if err := m.links.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off}); err != nil {
		return fmt.Errorf("%s: bridge %s: %w", m.name, bridgeName, err)
	}
	if !address.IsValid() {
		return nil
	}
	return m.setAddress(bridgeName, netip.PrefixFrom(address, bits))
}

// addSink gives the node a default route to an interface that swallows what it gets. Without one, a packet that was
// not translated dies in routing (ENETUNREACH), before the filter rules could see it. The preferred source is the
// node's address, as on a real node whose default route leaves through eth0. It is a bridge without ports because
// not every kernel has dummy interfaces; without ARP it never asks for a next hop, so nothing answers "unreachable".
// Equivalent: `ip link add sink up arp off type bridge`, `ip route add default dev sink src ADDRESS`.
func (m *member) addSink(source netip.Addr) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Flags = sinkName, net.FlagUp
	off := false
	if err := m.links.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off}); err != nil {
		return fmt.Errorf("%s: %s: %w", m.name, sinkName, err)
	}
	// The source must be an address of the node, and eth0 does not exist yet.
	if err := m.setAddress(sinkName, netip.PrefixFrom(source, source.BitLen())); err != nil {
		return err
	}
	link, err := m.links.LinkByName(sinkName)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", m.name, sinkName, err)
	}
	if err := m.links.LinkSetARPOff(link); err != nil {
		return fmt.Errorf("%s: %s: %w", m.name, sinkName, err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Src: source.AsSlice(), Scope: netlink.SCOPE_LINK}
	if err := m.links.RouteAdd(route); err != nil {
		return fmt.Errorf("%s: default route to %s: %w", m.name, sinkName, err)
	}
	return nil
}

// setUp is `ip link set NAME up`; it remembers a veth end so that its coming up can be waited for.
func (m *member) setUp(name string) error {
	link, err := m.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", m.name, name, err)
	}
	if err := m.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("%s: %s up: %w", m.name, name, err)
	}
	if link.Type() == "veth" {
		m.veths = append(m.veths, link.Attrs().Index)
	}
	return nil
}

// setAddress is `ip addr add ADDRESS dev NAME`.
func (m *member) setAddress(name string, address netip.Prefix) error {
	link, err := m.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", m.name, name, err)
	}
	if err := m.links.AddrAdd(link, &netlink.Addr{IPNet: ipNet(address)}); err != nil {
		return fmt.Errorf("%s: address %s on %s: %w", m.name, address, name, err)
	}
	return nil
}

// addRoute is `ip route add TO via VIA`; a zero `to` is the default route.
func (m *member) addRoute(to netip.Prefix, via netip.Addr) error {
	route := &netlink.Route{Gw: via.AsSlice()}
	if to.IsValid() {
		route.Dst = ipNet(to)
	}
	if err := m.links.RouteAdd(route); err != nil {
		return fmt.Errorf("%s: route to %s via %s: %w", m.name, to, via, err)
	}
	return nil
}

// AddPod starts a pod on a node of a lab that is up. Prepare, if not nil, is called when the pod's namespace is there and its
// link is not: nothing can have reached the pod yet.
func (l *Lab) AddPod(node string, p Pod, prepare func(*Namespace) error) error {
	for i, n := range l.plan.Nodes {
		if n.Name != node {
			continue
		}
		grown := l.plan
		grown.Nodes = append([]Node{}, l.plan.Nodes...)
		grown.Nodes[i].Pods = append(append([]Pod{}, n.Pods...), p)
		if err := grown.Check(); err != nil {
			return fmt.Errorf("add pod: %w", err)
		}
		if err := l.addPod(l.members[node], n, p, prepare); err != nil {
			return errors.Join(fmt.Errorf("add pod: %w", err), l.RemovePod(p.Name))
		}
		l.plan = grown
		return nil
	}
	return fmt.Errorf("add pod %s: no node %q", p.Name, node)
}

// Ready returns when the links of pods that were added can carry traffic; what is sent before may get lost.
func (l *Lab) Ready(ctx context.Context) error { return l.waitUp(ctx) }

// RemovePod takes a pod away: its link at once, so that its address can be given to another pod, and its namespace
// when nothing holds it any more. Removing a pod that is not there does nothing.
func (l *Lab) RemovePod(name string) error {
	m := l.members[name]
	if m == nil {
		return nil
	}
	var errs []error
	if m.links != nil {
		link, err := m.links.LinkByName(Uplink)
		if err == nil {
			err = m.links.LinkDel(link)
		}
		if err != nil && !errors.As(err, new(netlink.LinkNotFoundError)) && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("remove pod %s: %w", name, err))
		}
	}
	errs = append(errs, m.close())
	l.forget(name)
	return errors.Join(errs...)
}

func (l *Lab) forget(name string) {
	delete(l.members, name)
	for i, n := range l.order {
		if n == name {
			l.order = append(l.order[:i:i], l.order[i+1:]...)
			break
		}
	}
	for i, n := range l.plan.Nodes {
		for j, p := range n.Pods {
			if p.Name == name {
				l.plan.Nodes[i].Pods = append(n.Pods[:j:j], n.Pods[j+1:]...)
				return
			}
		}
	}
}
