package audit

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// device is a link of a namespace, as far as it matters for where packets go.
type device struct {
	index int
	name  string
	kind  string
	// peer is the index of the link it is tied to (IFLA_LINK), in the namespace that this one knows by the number nsid
	// (IFLA_LINK_NETNSID); -1 is its own.
	peer, nsid int
}

// devices lists the links of a namespace (RTM_GETLINK). Equivalent: `ip -d link`. As with that, the kernel gives each
// namespace that a link leads to a number, if it has none yet.
func devices(ns *topology.Namespace) (all []device, err error) {
	err = ns.Do(func() (err error) {
		handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer handle.Close()
		links, err := handle.LinkList()
		for range 3 {
			if !errors.Is(err, netlink.ErrDumpInterrupted) { // a link was added meanwhile
				break
			}
			links, err = handle.LinkList()
		}
		if err != nil {
			return err
		}
		for _, l := range links {
			a := l.Attrs()
			all = append(all, device{index: a.Index, name: a.Name, kind: l.Type(), peer: a.ParentIndex, nsid: a.NetNsID})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("links of %s: %w", ns.Name(), err)
	}
	return all, nil
}

// pairs tells whether what enters such a device comes out of the one it is tied to, in that one's namespace.
func (d device) pairs() bool { return d.nsid >= 0 && (d.kind == "veth" || d.kind == "netkit") }

// inert are kinds that lead nowhere by themselves.
var inert = []string{"bridge", "dummy", "ifb", "bond", "team", "vrf", "veth", "netkit", "ipip", "sit", "gre", "gretap", "erspan",
	"ip6tnl", "ip6gre", "ip6gretap", "vti", "vti6", "ip_vti"}

// leaves tells whether a device leads out of the machine, or to a program. The tunnels that a kernel has in every
// namespace do not.
func (d device) leaves() bool {
	return d.name != "lo" && d.nsid < 0 && !slices.Contains(inert, d.kind)
}

// member is a namespace of a view.
type member struct {
	ns *topology.Namespace
	at place
	// r is nil if it could not be read (err) or was not yet.
	r   *reading
	err error
	// devices are its links, deaf why they could not be read.
	devices []device
	deaf    error
	// shown: it is in the report. Others are read because packets of those that are shown may pass them.
	shown bool
	// borrowed: somebody else closes ns.
	borrowed bool
	// near are the members at the other ends of its veth pairs, unseen the devices with none such.
	near   []*member
	unseen []string
}

// outside tells whether a device leads out of the machine.
func (m *member) outside() bool { return slices.ContainsFunc(m.devices, device.leaves) }

// transit tells whether packets may pass through that begin and end elsewhere, pod whether all go to one other namespace.
func (m *member) transit() bool { return m.outside() || len(m.near)+len(m.unseen) > 1 }
func (m *member) pod() bool     { return !m.transit() }

// resolve finds the namespaces that a member's devices lead to among others. A namespace knows others by numbers
// (RTM_GETNSID): the right one is that whose descriptor has the device's number. Addresses play no part, for two labs may
// have the same ones.
func (m *member) resolve(others []*member) {
	m.near, m.unseen = nil, nil
	if m.deaf != nil {
		m.unseen = []string{"links that could not be read"}
		return
	}
	_ = m.ns.Do(func() error {
		handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err // all devices stay unseen
		}
		defer handle.Close()
		for _, d := range m.devices {
			if d.nsid < 0 {
				continue
			}
			found := m.behind(handle, d, others)
			switch {
			case found == nil:
				m.unseen = append(m.unseen, d.name)
			case found.err != nil || found.deaf != nil || !d.pairs():
				m.unseen = append(m.unseen, d.name+" ("+found.at.label+")")
			case !slices.Contains(m.near, found):
				m.near = append(m.near, found)
			}
		}
		return nil
	})
}

// behind is the member that a device leads to, nil if it is none of others.
func (m *member) behind(handle *netlink.Handle, d device, others []*member) *member {
	for _, o := range others {
		if o == m || o.deaf == nil && d.pairs() && !o.has(d) {
			continue
		}
		if id, err := handle.GetNetNsIdByFd(o.ns.Fd()); err == nil && id == d.nsid {
			return o
		}
	}
	return nil
}

// has tells whether a member has what could be the other end of a veth pair, to spare the kernel the question.
func (m *member) has(d device) bool {
	return slices.ContainsFunc(m.devices, func(end device) bool { return end.index == d.peer && end.peer == d.index && end.pairs() })
}
