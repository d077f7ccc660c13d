package conntrack

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// answerWithin makes an answer that never comes an error instead of a hang.
const answerWithin = time.Minute

var errNoAnswer = fmt.Errorf("no answer of the kernel within %s", answerWithin)

// with runs f with a request socket in ns that is closed afterwards, or before if f takes longer than limit. Dial is that
// of github.com/ti-mo/conntrack, or of ti-mo/netfilter for what the former has no call for. PortID is what the events of
// the socket's changes carry as Event.PortID.
func with[C io.Closer](ns *topology.Namespace, limit time.Duration, dial func(*netlink.Config) (C, error),
	f func(c C, portID uint32) error) error {
	var c C
	var portID uint32
	err := ns.Do(func() (err error) {
		c, portID, err = dialPort(dial)
		return err
	})
	if err != nil {
		return fmt.Errorf("ctnetlink socket: %w", err)
	}
	closed := make(chan struct{})
	late := time.AfterFunc(limit, func() {
		defer close(closed)
		_ = c.Close()
	})
	err = f(c, portID)
	if late.Stop() {
		return errors.Join(err, c.Close())
	}
	<-closed
	if err != nil {
		err = fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return err
}

// dialPort chooses the socket's port id, since the libraries do not tell which one the kernel chose: as the kernel does,
// the process's id for its first socket in a namespace, and numbers that are no process's for others
// (netlink_autobind).
func dialPort[C io.Closer](dial func(*netlink.Config) (C, error)) (c C, portID uint32, err error) {
	const attempts = 100
	portID = uint32(os.Getpid())
	for range attempts {
		if c, err = dial(&netlink.Config{PID: portID}); !errors.Is(err, unix.EADDRINUSE) {
			break
		}
		portID = 1<<31 | rand.Uint32()
	}
	return c, portID, err
}

// ask sends a request that github.com/ti-mo/conntrack has no call for: a tuple and one number, of the entry with that
// tuple. Kind is one of IPCTNL_MSG_CT_*.
func ask(ns *topology.Namespace, kind netfilter.MessageType, tuple Tuple, attribute uint16, v uint32) (portID uint32, err error) {
	named, err := tuple.attribute()
	if err != nil {
		return 0, err
	}
	family := netfilter.ProtoIPv4
	if tuple.Src.Addr().Is6() {
		family = netfilter.ProtoIPv6
	}
	// Neither NLM_F_CREATE nor NLM_F_REPLACE: an entry that is not there must not be made.
	request, err := netfilter.MarshalNetlink(netfilter.Header{
		SubsystemID: netfilter.NFSubsysCTNetlink, MessageType: kind, Family: family,
		Flags: netlink.Request | netlink.Acknowledge,
	}, []netfilter.Attribute{named, {Type: attribute, Data: netfilter.Uint32Bytes(v)}})
	if err != nil {
		return 0, err
	}
	err = with(ns, answerWithin, netfilter.Dial, func(c *netfilter.Conn, port uint32) error {
		portID = port
		_, failed := c.Query(request)
		return failed
	})
	return portID, explain(err, tuple)
}

// attribute encodes the tuple as CTA_TUPLE_ORIG.
func (t Tuple) attribute() (netfilter.Attribute, error) {
	src, dst := t.Src.Addr(), t.Dst.Addr()
	if !src.IsValid() || src.Is4() != dst.Is4() || !dst.IsValid() {
		return netfilter.Attribute{}, fmt.Errorf("tuple %s: addresses of one family are needed", t)
	}
	nested := func(kind uint16, children ...netfilter.Attribute) netfilter.Attribute {
		return netfilter.Attribute{Type: kind, Nested: true, Children: children}
	}
	port := func(kind, v uint16) netfilter.Attribute {
		return netfilter.Attribute{Type: kind, Data: netfilter.Uint16Bytes(v)}
	}
	var kinds [2]uint16
	if kinds = [2]uint16{ctaIPv4Src, ctaIPv4Dst}; src.Is6() {
		kinds = [2]uint16{ctaIPv6Src, ctaIPv6Dst}
	}
	proto := nested(ctaTupleProto, netfilter.Attribute{Type: ctaProtoNum, Data: []byte{t.Protocol}})
	icmp := func(id, kind, code uint16) {
		proto.Children = append(proto.Children, port(id, t.ICMP.ID), netfilter.Attribute{Type: kind, Data: []byte{t.ICMP.Type}},
			netfilter.Attribute{Type: code, Data: []byte{t.ICMP.Code}})
	}
	switch t.Protocol {
	case ProtocolICMP:
		icmp(ctaProtoICMPID, ctaProtoICMPType, ctaProtoICMPCode)
	case ProtocolICMPv6:
		icmp(ctaProtoICMPv6ID, ctaProtoICMPv6Type, ctaProtoICMPv6Code)
	default:
		proto.Children = append(proto.Children, port(ctaProtoSrcPort, t.Src.Port()), port(ctaProtoDstPort, t.Dst.Port()))
	}
	return nested(ctaTupleOrig, nested(ctaTupleIP, netfilter.Attribute{Type: kinds[0], Data: src.AsSlice()},
		netfilter.Attribute{Type: kinds[1], Data: dst.AsSlice()}), proto), nil
}

// explain adds the tuple and the errors of this package to an errno of the kernel.
func explain(err error, tuple Tuple) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s: %w (%w)", tuple, ErrNotFound, err)
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%s: %w (%w)", tuple, ErrExists, err)
	}
	return fmt.Errorf("%s: %w", tuple, err)
}
