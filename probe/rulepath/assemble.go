package rulepath

import (
	"cmp"
	"slices"
	"time"
)

// maxPaths bounds the memory of a caller that traces much and never asks: about 200 MB.
const maxPaths = 1 << 16

// assembler puts messages together to paths. The kernel sends a packet's messages in order, but those of packets on
// other processors may come in between.
type assembler struct {
	node string
	own  string // the table that marks packets, whose own rules are no hops
	// byID is the path that has a trace ID now, byLook the last one with such a packet.
	byID   map[uint32]*openPath
	byLook map[look]*openPath
	paths  []*openPath
	left   int // messages of packets for which there was no room
}

type openPath struct {
	Path
	begun []place // the built-in chains that the packet has come to
}

type place struct{ table, chain string }

// look is what translation leaves of a packet.
type look struct {
	protocol uint8
	flags    Flags
	ipID     uint16
	length   int
	seq, ack uint32
}

func (p Packet) look() look {
	return look{protocol: p.Protocol, flags: p.Flags, ipID: p.IPID, length: p.Length, seq: p.Seq, ack: p.Ack}
}

// add takes one message, read at the given time.
func (a *assembler) add(m message, at time.Time) {
	p := a.pathOf(m)
	if p == nil {
		a.left++
		return
	}
	if m.hasPacket {
		p.begun = append(p.begun, m.place())
		p.Last = m.packet
		p.In, p.Out = cmp.Or(m.in, p.In), cmp.Or(m.out, p.Out)
	}
	if p.Tracking.State == "" {
		p.Tracking = m.tracking
	}
	// A rule without a handle is the kernel's way to say that a chain's end was reached.
	if m.hop.Table != a.own && (m.hop.Kind != Rule || m.hop.Handle != 0) {
		m.hop.Time = at
		p.Hops = append(p.Hops, m.hop)
	}
}

// pathOf is the path that a message belongs to, a new one if need be, nil if there is no room for it.
func (a *assembler) pathOf(m message) *openPath {
	p := a.byID[m.id]
	// No packet comes to the same built-in chain twice: it is another one with the same ID.
	if p != nil && !(m.hasPacket && slices.Contains(p.begun, m.place())) {
		return p
	}
	if p = a.translated(m); p == nil {
		if len(a.paths) >= maxPaths {
			delete(a.byID, m.id)
			return nil
		}
		p = &openPath{Path: Path{TraceID: m.id, Node: a.node, Packet: m.packet}}
		a.paths = append(a.paths, p)
	}
	if a.byID == nil {
		a.byID, a.byLook = map[uint32]*openPath{}, map[look]*openPath{}
	}
	a.byID[m.id] = p
	if m.hasPacket {
		a.byLook[m.packet.look()] = p
	}
	return p
}

// translated is the path of a packet that has got another ID on its way: the kernel makes the ID from the addresses, too,
// so that since Linux 6.10 a translated packet has a new one. It is the last packet that looks the same and has one of
// its addresses, if that one has not been here.
func (a *assembler) translated(m message) *openPath {
	if !m.hasPacket {
		return nil
	}
	p := a.byLook[m.packet.look()]
	switch {
	case p == nil, slices.Contains(p.begun, m.place()):
		return nil
	case p.Last.Src != m.packet.Src && p.Last.Dst != m.packet.Dst:
		return nil
	case p.Tracking.ID != 0 && m.tracking.ID != 0 && p.Tracking.ID != m.tracking.ID:
		return nil
	}
	return p
}

func (m message) place() place { return place{m.hop.Table, m.hop.Chain} }

// take gives the paths in the order they began, and forgets them.
func (a *assembler) take() []Path {
	paths := make([]Path, len(a.paths))
	for i, p := range a.paths {
		paths[i] = p.Path
	}
	a.byID, a.byLook, a.paths = nil, nil, nil
	return paths
}
