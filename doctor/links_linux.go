package doctor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// networkNamespace makes a namespace and uses the right over it: where AppArmor restricts user namespaces one can be
// made, but not used.
func networkNamespace(b *bench) error {
	err := b.usable()
	if !errors.Is(err, unix.ENOSPC) {
		return err
	}
	const limit = "user.max_net_namespaces" // namespaces(7)
	value, readErr := os.ReadFile("/proc/sys/" + strings.ReplaceAll(limit, ".", "/"))
	if readErr != nil {
		return err
	}
	return &cure{fmt.Errorf("%w (sysctl %s is %s)", err, limit, strings.TrimSpace(string(value))),
		"sudo sysctl -w " + limit + "=10000"}
}

// usable tells why no namespace can be made and used, nil if one can.
func (b *bench) usable() error {
	err := b.within(func(*topology.Namespace) error { return nil })
	var without *buildsOn
	if errors.As(err, &without) {
		return without.err
	}
	return err
}

// loopbackUp is `ip link set lo up`.
func loopbackUp(ns *topology.Namespace) error {
	return links(ns, func(h *netlink.Handle) error {
		lo, err := h.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("lo: %w", err)
		}
		return h.LinkSetUp(lo)
	})
}

func links(ns *topology.Namespace, f func(*netlink.Handle) error) error {
	return ns.Do(func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("rtnetlink: %w", err)
		}
		defer h.Close()
		return f(h)
	})
}

// veth makes a pair with an end in each of two namespaces: `ip link add a type veth peer name b netns …`.
func veth(b *bench) error {
	return b.within(func(here *topology.Namespace) error {
		return b.within(func(there *topology.Namespace) error {
			return links(here, func(h *netlink.Handle) error {
				attrs := netlink.NewLinkAttrs()
				attrs.Name = "a"
				return h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "b", PeerNamespace: netlink.NsFd(there.Fd())})
			})
		})
	})
}

// bridge makes one with an address and a port, and sets it up. Its ports are veths; a kernel without them may have
// bridges all the same, then the bridge alone has to do.
func bridge(b *bench) error {
	return b.within(func(ns *topology.Namespace) error {
		return links(ns, func(h *netlink.Handle) error {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "br"
			br := &netlink.Bridge{LinkAttrs: attrs}
			if err := h.LinkAdd(br); err != nil {
				return err
			}
			address := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(172, 18, 219, 1), Mask: net.CIDRMask(24, 32)}}
			if err := h.AddrAdd(br, address); err != nil {
				return fmt.Errorf("address: %w", err)
			}
			attrs.Name, attrs.MasterIndex = "port", br.Index
			if err := h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer"}); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
				return fmt.Errorf("port: %w", err)
			}
			return h.LinkSetUp(br)
		})
	})
}
