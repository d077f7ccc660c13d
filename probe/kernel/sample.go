package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Offsets in struct sample of bpf/watch.c, which is in the byte order of the machine.
const (
	sampleHead  = 64 // up to the stack
	maxFrames   = 64
	addressSize = 16
)

// Flags of a sample, enum flag in bpf/watch.c.
const (
	fromPacket = 1 << iota
	taiClock
)

// Address families of Linux (AF_INET, AF_INET6), whatever the machine that replays a sample runs.
const (
	familyIPv4 = 2
	familyIPv6 = 10
)

// sample is what a BPF program writes: an event whose names are still numbers.
type sample struct {
	time        uint64 // ns of CLOCK_TAI with flag taiClock, else of CLOCK_MONOTONIC
	netns       uint32
	reason      uint32
	errno       uint32
	kind        Kind
	flags       uint8
	state       uint8
	source      netip.AddrPort
	destination netip.AddrPort
	stack       []uint64 // return addresses, innermost first
}

// parseSample reads a record of the ring buffer. The stack's unused end may be missing.
func parseSample(raw []byte) (sample, error) {
	if len(raw) < sampleHead {
		return sample{}, fmt.Errorf("sample of %d bytes, want at least %d", len(raw), sampleHead)
	}
	order := binary.NativeEndian
	s := sample{
		time:   order.Uint64(raw),
		netns:  order.Uint32(raw[8:]),
		reason: order.Uint32(raw[12:]),
		errno:  order.Uint32(raw[16:]),
		kind:   Kind(raw[22]),
		flags:  raw[23],
		state:  raw[24],
	}
	if !s.kind.known() {
		return sample{}, fmt.Errorf("sample of unknown kind %d", raw[22])
	}
	family := raw[25]
	s.source = parseAddress(family, raw[32:32+addressSize], raw[26:])
	s.destination = parseAddress(family, raw[32+addressSize:sampleHead], raw[28:])
	size := int(order.Uint16(raw[20:]))
	stack := raw[sampleHead:]
	if size > len(stack) || size > 8*maxFrames || size%8 != 0 {
		return sample{}, fmt.Errorf("sample with %d bytes of stack in %d", size, len(stack))
	}
	s.stack = make([]uint64, size/8)
	for i := range s.stack {
		s.stack[i] = order.Uint64(stack[8*i:])
	}
	return s, nil
}

// parseAddress gives the zero AddrPort for an unknown family. IPv4 addresses of an IPv6 socket become plain.
func parseAddress(family uint8, address, port []byte) netip.AddrPort {
	var a netip.Addr
	switch family {
	case familyIPv4:
		a = netip.AddrFrom4([4]byte(address))
	case familyIPv6:
		a = netip.AddrFrom16([addressSize]byte(address)).Unmap()
	default:
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
}

// dictionary turns the numbers of samples into what they mean on this kernel.
type dictionary struct {
	resetReasons map[uint32]string // enum sk_rst_reason; nil before Linux 6.10
	dropReasons  map[uint32]string // enum skb_drop_reason
	// functions gives the function of each return address, innermost first.
	functions func(addresses []uint64) []string
	// realtime turns a stamp of CLOCK_TAI, or else of CLOCK_MONOTONIC, into CLOCK_REALTIME.
	realtime func(ns uint64, tai bool) time.Time
}

func (d *dictionary) event(s sample) Event {
	e := Event{
		Time:      d.realtime(s.time, s.flags&taiClock != 0),
		Kind:      s.kind,
		Namespace: uint64(s.netns),
		Src:       s.source,
		Dst:       s.destination,
		Packet:    s.flags&fromPacket != 0,
		State:     stateName(s.state),
		Stack:     trimProbe(d.functions(s.stack)),
	}
	switch s.kind {
	case SendReset:
		if d.resetReasons != nil {
			e.Reason = reasonName(d.resetReasons, s.reason)
		}
	case Drop:
		e.Reason = reasonName(d.dropReasons, s.reason)
	case ErrorReport:
		e.Errno = syscall.Errno(s.errno)
	}
	return e
}

// trimProbe takes the functions of the probe itself off the inner end: the BPF program and what calls it for a
// tracepoint (kernel/trace/bpf_trace.c, include/trace/bpf_probe.h, include/linux/tracepoint.h).
func trimProbe(stack []string) []string {
	for len(stack) > 0 {
		f := strings.TrimLeft(stack[0], "_")
		if !strings.HasPrefix(f, "bpf_") && !strings.HasPrefix(f, "traceiter_") {
			break
		}
		stack = stack[1:]
	}
	return stack
}
