package rulepath

import (
	"fmt"
	"strings"
)

// Path is the way of one packet through the rules of one node.
type Path struct {
	// TraceID is the kernel's number for the packet. It is made from the packet's place in memory and its flow, so that
	// another packet may have it later.
	TraceID uint32
	// Node is the name of the namespace.
	Node string
	// Packet is what the headers said where tracing began, before translation.
	Packet Packet
	// Last is what they said in the last chain that the packet came through. Its Dst is translated; what POSTROUTING
	// makes of Src happens after it.
	Last Packet
	// In and Out are the indexes of the interfaces the packet came from and leaves by, 0 where there is none (yet).
	In, Out uint32
	// Tracking is what conntrack said of the packet first: NEW for one that makes an entry.
	Tracking Tracking
	// Hops is empty if the packet met no rule and no policy.
	Hops []Hop
}

// Met tells whether the packet came through a table: nat is only for the first packet of a connection.
func (p Path) Met(table string) bool {
	for _, h := range p.Hops {
		if h.Table == table {
			return true
		}
	}
	return false
}

// Verdict is what the last hop said, empty without hops.
func (p Path) Verdict() string {
	if len(p.Hops) == 0 {
		return ""
	}
	return p.Hops[len(p.Hops)-1].Verdict
}

// String is the path in one line, chain after chain:
//
//	master 172.18.219.65:54124 → 10.108.33.37:2222 [P.] NEW: nat PREROUTING → KUBE-SERVICES → KUBE-SVC-X → KUBE-SEP-1; filter FORWARD → KUBE-FORWARD
func (p Path) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", p.Node, p.Packet)
	if p.Tracking.State != "" {
		b.WriteString(" " + p.Tracking.State)
	}
	b.WriteByte(':')
	if len(p.Hops) == 0 {
		b.WriteString(" no rule")
	}
	var last Hop
	for i, h := range p.Hops {
		switch {
		case i > 0 && h.Table == last.Table && h.Chain == last.Chain:
		case i > 0 && h.Table == last.Table && !last.ends():
			b.WriteString(" → " + h.Chain)
		case i > 0:
			fmt.Fprintf(&b, "; %s %s", h.Table, h.Chain)
		default:
			fmt.Fprintf(&b, " %s %s", h.Table, h.Chain)
		}
		last = h
	}
	if p.Verdict() == "DROP" {
		b.WriteString(" (DROP)")
	}
	return b.String()
}

// ends tells whether the packet is done with the built-in chain after this hop.
func (h Hop) ends() bool {
	return h.Kind == Policy || h.Verdict == "ACCEPT" || h.Verdict == "DROP"
}

// Lines is the path hop by hop, see [Hop.String].
func (p Path) Lines() []string {
	lines := make([]string, len(p.Hops))
	for i, h := range p.Hops {
		lines[i] = h.String()
	}
	return lines
}
