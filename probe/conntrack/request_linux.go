package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// conn is a request socket inside a namespace. Framing, sequence numbers, acknowledgements and dumps are
// vishvananda/netlink's; what goes into a message and what comes out of it is ours, because that library's conntrack
// calls carry no ID, no status bits and no ICMP tuples, cannot look up a single entry, always write the mark when they
// write anything, and do not tell the port id they used. Single look-ups ask for an acknowledgement: the kernel flags
// their answer as one of many and sends no NLMSG_DONE, so the acknowledgement is the only end they have.
type conn struct {
	socket *nl.NetlinkSocket
	handle *nl.SocketHandle
}

func dial(ns *topology.Namespace) (*conn, error) {
	c := &conn{}
	err := ns.Do(func() (err error) {
		c.socket, err = nl.Subscribe(unix.NETLINK_NETFILTER)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ctnetlink socket: %w", err)
	}
	// An answer that never comes is an error, not a hang.
	if err := c.socket.SetReceiveTimeout(&nl.SocketTimeoutTv); err != nil {
		c.close()
		return nil, fmt.Errorf("ctnetlink socket: %w", err)
	}
	c.handle = &nl.SocketHandle{Socket: c.socket}
	return c, nil
}

func (c *conn) close() { c.socket.Close() }

// portID is what the events of this socket's changes carry as Event.PortID.
func (c *conn) portID() (uint32, error) { return c.socket.GetPid() }

// do sends one message of the conntrack subsystem and gives each answer, without its nlmsghdr, to each, which may be
// nil. Kind is one of IPCTNL_MSG_CT_*; family is AF_INET, AF_INET6 or 0 for both.
func (c *conn) do(kind, flags int, family uint8, attrs []*nl.RtAttr, each func(payload []byte) error) error {
	req := nl.NewNetlinkRequest(subsysCtnetlink<<8|kind, flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_NETFILTER: c.handle}
	req.AddData(&nl.Nfgenmsg{NfgenFamily: family, Version: nl.NFNETLINK_V0})
	for _, a := range attrs {
		req.AddData(a)
	}
	var failed error
	err := req.ExecuteIter(unix.NETLINK_NETFILTER, 0, func(payload []byte) bool {
		if each != nil {
			failed = each(payload)
		}
		return failed == nil
	})
	return errors.Join(err, failed)
}

// anyDying tells whether the list of entries that are dead but not yet reported has any in it. It reads only the first
// datagram of the dump, since that list can be long and the kernel needs its lock to make it shorter; c is of no use
// afterwards.
func (c *conn) anyDying() (bool, error) {
	req := nl.NewNetlinkRequest(subsysCtnetlink<<8|msgGetDying, unix.NLM_F_DUMP)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	if err := c.socket.Send(req); err != nil {
		return false, err
	}
	answers, _, err := c.socket.Receive()
	if err != nil {
		return false, err
	}
	for _, a := range answers {
		switch a.Header.Type {
		case subsysCtnetlink<<8 | msgNew:
			return true, nil
		case unix.NLMSG_ERROR:
			return false, fmt.Errorf("dump: %w", unix.Errno(-int32(binary.NativeEndian.Uint32(a.Data))))
		}
	}
	return false, nil
}

// with runs f with a request socket in ns that is closed afterwards.
func with(ns *topology.Namespace, f func(c *conn) error) error {
	c, err := dial(ns)
	if err != nil {
		return err
	}
	defer c.close()
	return f(c)
}

// family is the AF_* of a tuple's addresses.
func (t Tuple) family() uint8 {
	if t.Src.Addr().Is4() {
		return familyIPv4
	}
	return familyIPv6
}

// attribute encodes the tuple as CTA_TUPLE_ORIG or CTA_TUPLE_REPLY.
func (t Tuple) attribute(kind int) (*nl.RtAttr, error) {
	src, dst := t.Src.Addr(), t.Dst.Addr()
	if !src.IsValid() || src.Is4() != dst.Is4() || !dst.IsValid() {
		return nil, fmt.Errorf("tuple %s: addresses of one family are needed", t)
	}
	srcKind, dstKind := ctaIPv4Src, ctaIPv4Dst
	if !src.Is4() {
		srcKind, dstKind = ctaIPv6Src, ctaIPv6Dst
	}
	ip := nested(ctaTupleIP, nl.NewRtAttr(srcKind, src.AsSlice()), nl.NewRtAttr(dstKind, dst.AsSlice()))
	proto := nested(ctaTupleProto, nl.NewRtAttr(ctaProtoNum, []byte{t.Protocol}))
	switch t.Protocol {
	case ProtocolICMP:
		proto.AddChild(nl.NewRtAttr(ctaProtoICMPID, nl.BEUint16Attr(t.ICMP.ID)))
		proto.AddChild(nl.NewRtAttr(ctaProtoICMPType, []byte{t.ICMP.Type}))
		proto.AddChild(nl.NewRtAttr(ctaProtoICMPCode, []byte{t.ICMP.Code}))
	case ProtocolICMPv6:
		proto.AddChild(nl.NewRtAttr(ctaProtoICMPv6ID, nl.BEUint16Attr(t.ICMP.ID)))
		proto.AddChild(nl.NewRtAttr(ctaProtoICMPv6Type, []byte{t.ICMP.Type}))
		proto.AddChild(nl.NewRtAttr(ctaProtoICMPv6Code, []byte{t.ICMP.Code}))
	default:
		proto.AddChild(nl.NewRtAttr(ctaProtoSrcPort, nl.BEUint16Attr(t.Src.Port())))
		proto.AddChild(nl.NewRtAttr(ctaProtoDstPort, nl.BEUint16Attr(t.Dst.Port())))
	}
	return nested(kind, ip, proto), nil
}

func nested(kind int, children ...*nl.RtAttr) *nl.RtAttr {
	a := nl.NewRtAttr(attrNested|kind, nil)
	for _, c := range children {
		a.AddChild(c)
	}
	return a
}

func number32(kind int, v uint32) *nl.RtAttr {
	return nl.NewRtAttr(kind, binary.BigEndian.AppendUint32(nil, v))
}
