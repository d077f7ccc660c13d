package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/probe/kernel"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/rulepath"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

// nowhere is where packets of checks go: the discard port of a loopback, on which nobody listens.
var nowhere = netip.MustParseAddrPort("127.0.0.1:9")

// sendOne sends one UDP packet to nowhere, inside the namespace.
func sendOne(ns *topology.Namespace) error {
	return ns.Do(func() error {
		conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(nowhere))
		if err != nil {
			return err
		}
		_, err = conn.Write([]byte("ctsim"))
		return errors.Join(err, conn.Close())
	})
}

// packetSocket captures a packet.
func packetSocket(b *bench) error {
	return b.within(func(ns *topology.Namespace) error {
		var seen atomic.Int64
		capture := packet.NewCapture(func(packet.Packet) { seen.Add(1) })
		err := capture.Add(ns, "lo")
		if err == nil {
			err = errors.Join(sendOne(ns), capture.Drain())
		}
		if err := errors.Join(err, capture.Close()); err != nil {
			return err
		}
		if seen.Load() == 0 {
			return errors.New("a packet was sent, and the capture did not see it")
		}
		return nil
	})
}

// sockDiag finds a socket.
func sockDiag(b *bench) error {
	return b.within(func(ns *topology.Namespace) error {
		var l net.Listener
		if err := ns.Do(func() (err error) {
			l, err = net.Listen("tcp4", "127.0.0.1:0")
			return err
		}); err != nil {
			return err
		}
		sockets, err := socket.List(ns)
		if err == nil && len(sockets) == 0 {
			err = errors.New("a socket listens, and the kernel lists none")
		}
		return errors.Join(err, l.Close())
	})
}

// ruleTrace follows a packet through a rule.
func ruleTrace(b *bench) error {
	err := b.withRulesIn("nft", func(ns *topology.Namespace, _ dataplane.Mode, n dataplane.Node) error {
		if err := n.Append("filter", "OUTPUT", "-d", nowhere.Addr().String(), "-j", "ACCEPT"); err != nil {
			return err
		}
		if err := rulepath.Available(ns); err != nil {
			return err
		}
		w, err := rulepath.Watch(ns)
		if err != nil {
			return err
		}
		err = errors.Join(w.Trace(rulepath.Match{Protocol: unix.IPPROTO_UDP, Dst: nowhere}), sendOne(ns))
		var paths []rulepath.Path
		if err == nil {
			paths, err = w.Paths()
		}
		if err := errors.Join(err, w.Close()); err != nil {
			return err
		}
		if len(paths) == 0 || !paths[0].Met("filter") {
			return errors.New("a packet met a rule, and the kernel did not tell")
		}
		return nil
	})
	if errors.Is(err, dataplane.ErrNotInstalled) {
		return &buildsOn{"iptables-nft", err}
	}
	return err
}

// btfOfKernel reads the types of the running kernel.
func btfOfKernel(*bench) error {
	if _, err := btf.LoadKernelSpec(); err != nil {
		return &cure{err, "# boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as those of distributions are"}
	}
	return nil
}

// kernelTrace lets the kernel tell of the reset that a connection to nobody meets.
func kernelTrace(b *bench) error {
	err := b.within(func(ns *topology.Namespace) error {
		var seen atomic.Int64
		w, err := kernel.Watch(func(kernel.Event) { seen.Add(1) }, ns)
		if err != nil {
			return err
		}
		refused := ns.Do(func() error {
			conn, err := net.Dial("tcp4", nowhere.String())
			if err == nil {
				err = errors.Join(fmt.Errorf("somebody listens on %s", nowhere), conn.Close())
			}
			if errors.Is(err, unix.ECONNREFUSED) {
				return nil
			}
			return err
		})
		if err := errors.Join(refused, w.Drain(), w.Close()); err != nil {
			return err
		}
		if seen.Load() == 0 {
			return errors.New("a connection was reset, and no tracepoint told of it")
		}
		return nil
	})
	var unavailable *kernel.Unavailable
	if !errors.As(err, &unavailable) || forbidden(err) {
		return err
	}
	if strings.HasPrefix(unavailable.What, "BTF") {
		return &buildsOn{"btf", err}
	}
	return &cure{err, "# boot a kernel that has it: Linux 5.14 or newer with CONFIG_BPF_SYSCALL=y, not locked down"}
}
