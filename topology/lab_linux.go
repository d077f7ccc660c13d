package topology

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	bridgeName = "cni0" // the name the CNI bridge plugin gives it
	sinkName   = "sink"
	// Uplink is the interface every pod, node and host has towards the others.
	Uplink = "eth0"
)

// Lab is a Plan that is up. Close it to let go of everything.
type Lab struct {
	plan    Plan
	members map[string]*member
	order   []string // as made, so that output and errors have an order
	fail    func(step string) error
}

// member is a namespace with a route netlink handle inside it.
type member struct {
	*Namespace
	links *netlink.Handle
	veths []int // indexes of the veth ends inside, to wait for
}

// Up builds the plan: namespaces, sysctls, links, addresses, routes, in that order, so that no packet is sent before
// its namespace is quiet. It returns when every link can carry traffic. On error nothing is left.
// It needs CAP_SYS_ADMIN and CAP_NET_ADMIN in the current user namespace.
func Up(ctx context.Context, plan Plan) (*Lab, error) { return up(ctx, plan, nil) }

// up lets a test fail any step.
func up(ctx context.Context, plan Plan, fail func(step string) error) (_ *Lab, err error) {
	if err = plan.Check(); err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	l := &Lab{plan: plan, members: map[string]*member{}, fail: fail}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("topology: %w", err), l.Close())
		}
	}()
	for _, n := range plan.Nodes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := l.addNode(n); err != nil {
			return nil, err
		}
	}
	for _, h := range plan.Hosts {
		if _, err := l.add(h.Name, h.Sysctls); err != nil {
			return nil, err
		}
	}
	if err := l.joinNodes(); err != nil {
		return nil, err
	}
	return l, l.waitUp(ctx)
}

// Namespace returns the namespace of a pod, node or host; nil if there is none of that name.
func (l *Lab) Namespace(name string) *Namespace {
	if m := l.members[name]; m != nil {
		return m.Namespace
	}
	return nil
}

// Names lists the lab's pods, nodes and hosts in the order they were made.
func (l *Lab) Names() []string { return slices.Clone(l.order) }

// Plan is the plan the lab was built from, with the pods added and removed since.
func (l *Lab) Plan() Plan { return l.plan }

// Close lets go of every namespace; the kernel takes the links, rules and conntrack entries down with them, within
// a fraction of a second. Deleting links one by one would cost 18 ms each.
func (l *Lab) Close() error {
	var errs []error
	for _, name := range l.order {
		errs = append(errs, l.members[name].close())
	}
	l.members, l.order = map[string]*member{}, nil
	return errors.Join(errs...)
}

func (m *member) close() error {
	if m.links != nil {
		m.links.Close()
	}
	return m.Namespace.Close()
}

// quiet keeps a namespace silent until ctsim speaks: without it 12 s of an idle world hold a hundred frames of IPv6
// neighbour discovery and IGMP. Reverse path filtering is off because the kernel's default for new namespaces follows
// the machine's distribution; the conntrack cases must not.
var quiet = []Sysctl{
	{"net.ipv6.conf.all.disable_ipv6", "1"},
	{"net.ipv6.conf.default.disable_ipv6", "1"},
	{"net.ipv4.conf.all.rp_filter", "0"},
	{"net.ipv4.conf.default.rp_filter", "0"},
}

// add makes a namespace with its sysctls and loopback up.
func (l *Lab) add(name string, sysctls []Sysctl) (*member, error) {
	if err := l.step("namespace " + name); err != nil {
		return nil, err
	}
	ns, err := NewNamespace(name)
	if err != nil {
		return nil, err
	}
	m := &member{Namespace: ns}
	l.members[name], l.order = m, append(l.order, name)
	return m, ns.Do(func() error {
		for _, s := range slices.Concat(quiet, sysctls) {
			err := writeSysctl(s.Key, s.Value)
			if errors.Is(err, unix.ENOENT) && slices.Contains(quiet, s) {
				continue // a kernel without IPv6 is quiet already
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		var err error
		if m.links, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("%s: netlink: %w", name, err)
		}
		return m.setUp("lo")
	})
}

func (l *Lab) addNode(n Node) error {
	forward := Sysctl{"net.ipv4.ip_forward", "1"}
	m, err := l.add(n.Name, append([]Sysctl{forward}, n.Sysctls...))
	if err != nil {
		return err
	}
	if err := l.step("bridge " + n.Name); err != nil {
		return err
	}
	if err := m.addBridge(n.Gateway(), n.PodCIDR.Bits()); err != nil {
		return err
	}
	if err := m.addSink(n.Address); err != nil {
		return err
	}
	for _, p := range n.Pods {
		if err := l.addPod(m, n, p, nil); err != nil {
			return err
		}
	}
	return nil
}

// addPod is `ip link add veth-POD netns NODE master cni0 up type veth peer name eth0 netns POD` and the pod's address
// and default route.
func (l *Lab) addPod(node *member, n Node, p Pod, prepare func(*Namespace) error) error {
	m, err := l.add(p.Name, p.Sysctls)
	if err == nil && prepare != nil {
		err = prepare(m.Namespace)
	}
	if err != nil {
		return err
	}
	if err = l.step("veth " + p.Name); err != nil {
		return err
	}
	bridge, err := node.links.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", node.name, bridgeName, err)
	}
	if err := veth(node, "veth-"+p.Name, m, bridge.Attrs().Index); err != nil {
		return err
	}
	if err := m.setAddress(Uplink, netip.PrefixFrom(p.Address, n.PodCIDR.Bits())); err != nil {
		return err
	}
	return m.addRoute(netip.Prefix{}, n.Gateway())
}

// joinNodes gives nodes and hosts their eth0: one veth between two, a switch in a namespace of its own for more.
func (l *Lab) joinNodes() error {
	var ends []*member
	for _, n := range l.plan.Nodes {
		ends = append(ends, l.members[n.Name])
	}
	for _, h := range l.plan.Hosts {
		ends = append(ends, l.members[h.Name])
	}
	if err := l.step("link between the nodes"); err != nil {
		return err
	}
	switch len(ends) {
	case 1:
		return nil // one node has nobody to talk to
	case 2:
		if err := veth(ends[0], Uplink, ends[1], 0); err != nil {
			return err
		}
	default:
		if err := l.addSwitch(ends); err != nil {
			return err
		}
	}
	for _, h := range l.plan.Hosts {
		m := l.members[h.Name]
		if err := m.setAddress(Uplink, netip.PrefixFrom(h.Address, l.plan.Network.Bits())); err != nil {
			return err
		}
		if err := m.addRoute(netip.Prefix{}, l.plan.Nodes[0].Address); err != nil {
			return err
		}
	}
	return l.routeNodes()
}

// addSwitch is a bridge in a namespace of its own with a port to each of ends.
func (l *Lab) addSwitch(ends []*member) error {
	m, err := l.add(SwitchName, nil)
	if err != nil {
		return err
	}
	if err = m.addBridge(netip.Addr{}, 0); err != nil {
		return err
	}
	bridge, err := m.links.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("%s: %w", SwitchName, err)
	}
	for _, end := range ends {
		if err := veth(m, "veth-"+end.name, end, bridge.Attrs().Index); err != nil {
			return err
		}
	}
	return nil
}

// routeNodes gives each node its address and a route to every other node's pods.
func (l *Lab) routeNodes() error {
	for _, n := range l.plan.Nodes {
		m := l.members[n.Name]
		if err := m.setAddress(Uplink, netip.PrefixFrom(n.Address, l.plan.Network.Bits())); err != nil {
			return err
		}
		for _, other := range l.plan.Nodes {
			if other.Name == n.Name {
				continue
			}
			if err := m.addRoute(other.PodCIDR.Masked(), other.Address); err != nil {
				return err
			}
		}
	}
	return nil
}

// waitUp waits until every veth end can carry traffic: before that a first frame may be lost, and its
// retransmission takes a second. Bridges are not waited for: their operational state comes a second late although
// they forward.
func (l *Lab) waitUp(ctx context.Context) error {
	for _, name := range l.order {
		if err := l.members[name].waitUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (m *member) waitUp(ctx context.Context) error {
	for _, index := range m.veths {
		for pause := 50 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
			link, err := m.links.LinkByIndex(index)
			if err != nil {
				return fmt.Errorf("%s: link %d: %w", m.name, index, err)
			}
			if link.Attrs().OperState == netlink.OperUp {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s: waiting for %s to come up: %w", m.name, link.Attrs().Name, ctx.Err())
			case <-time.After(pause):
			}
		}
	}
	return nil
}

func (l *Lab) step(name string) error {
	if l.fail == nil {
		return nil
	}
	return l.fail(name)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
