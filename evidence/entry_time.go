package evidence

import (
	"slices"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
)

// Before Linux 6.14 an event of conntrack carries no time, and when ctsim has read it the packet that brought it about may be at
// its end. But the entries have times of the kernel's: a DESTROY carries when its entry was made and ended (CTA_TIMESTAMP,
// sysctl nf_conntrack_timestamp), a look-up when it was made. For an UPDATE there is the packet that has the flags for it:
// conntrack saw it between its two captures on the node.

// TimeEvents gives the events that carry no time of the kernel's the most exact one that is known, and says how exact it is.
// No event of an entry comes before the one that the kernel sent before it. It is called once, when all has been seen.
func (e *Evidence) TimeEvents() {
	for _, life := range e.lives() {
		e.timeLife(life)
	}
}

// entryOf is what tells an entry from others.
type entryOf struct {
	node string
	id   uint32
	conntrack.Tuple
}

// lives are the events that have no time of the kernel's by their entries, each in the kernel's order.
func (e *Evidence) lives() [][]*EntryEvent {
	var lives [][]*EntryEvent
	at := map[entryOf]int{}
	for i := range e.Events {
		ev := &e.Events[i]
		if ev.KernelTime {
			continue
		}
		key := entryOf{ev.Node, ev.ID, ev.Original}
		n, known := at[key]
		if !known {
			n = len(lives)
			at[key], lives = n, append(lives, nil)
		}
		lives[n] = append(lives[n], ev)
		if ev.Type == conntrack.Destroy {
			delete(at, key) // the next of these tuples is another entry, whose ID may be the same
		}
	}
	return lives
}

// timeLife times the events of one entry.
func (e *Evidence) timeLife(life []*EntryEvent) {
	first, last := life[0], life[len(life)-1]
	if !last.Start.IsZero() {
		first.Start = last.Start
	}
	if first.Type == conntrack.New && !first.Start.IsZero() {
		first.Time = first.Start
	}
	if by := last.DestroyedBy(); by != conntrack.NotDestroyed && by != conntrack.Expired && !last.Stop.IsZero() {
		last.Time = last.Stop
	} else if by == conntrack.Expired {
		e.timeExpiry(last)
	}
	before := time.Time{}
	for i, ev := range life {
		if ev.Type == conntrack.Update {
			heard := ev.Time
			if i+1 < len(life) && last.Time.Before(heard) {
				heard = last.Time
			}
			ev.Time, ev.Within = e.timeUpdate(ev, before, heard)
		}
		before = ev.Time
	}
}

// timeExpiry times the end of an entry whose time was over: at the latest when it was heard of, or the next entry of its
// tuple took its place; at the earliest when its time was over, Stop, which the kernel counts back in ticks of a few
// milliseconds.
func (e *Evidence) timeExpiry(gone *EntryEvent) {
	for i := range e.Events {
		next := &e.Events[i]
		if next.Node == gone.Node && next.Type == conntrack.New && next.Original == gone.Original && next.ID != gone.ID &&
			next.Start.After(gone.Stop) && next.Start.Before(gone.Time) {
			gone.Time = next.Start.Add(-time.Nanosecond)
		}
	}
	if within := gone.Time.Sub(gone.Stop); !gone.Stop.IsZero() && within > 0 {
		gone.Within = within
	}
}

// timeUpdate is the middle between the two captures of the packet that changed an entry's state, and half of what lies
// between; before is when the event before it happened, heard when this one had at the latest. Without such a packet it is
// the latter.
func (e *Evidence) timeUpdate(ev *EntryEvent, before, heard time.Time) (at time.Time, within time.Duration) {
	i := slices.IndexFunc(e.Packets, func(p packet.Packet) bool {
		return reaches(&p, ev.Node) && p.Time.After(before) && p.Time.Before(heard) && changes(ev, &p)
	})
	if i < 0 {
		if before.IsZero() {
			return heard, 0
		}
		return heard, heard.Sub(before)
	}
	from, to := e.Packets[i].Time, heard
	for j := range e.Packets {
		if q := &e.Packets[j]; sameSegment(&e.Packets[i], q) && !reaches(q, ev.Node) && q.Time.After(from) && q.Time.Before(to) {
			to = q.Time
		}
	}
	for j := range e.Packets {
		if q := &e.Packets[j]; sameSegment(&e.Packets[i], q) && reaches(q, ev.Node) && q.Time.After(from) && q.Time.Before(to) {
			from = q.Time
		}
	}
	half := to.Sub(from) / 2
	return from.Add(half), half
}

// reaches tells whether a capture is of a packet on its way to a node: coming into it, or leaving another place. All others
// have passed it.
func reaches(p *packet.Packet, node string) bool {
	return (p.At == node) == (p.Direction == packet.In)
}

// changes tells whether a packet is one of the entry's that can bring about the state of an UPDATE (tcp_conntracks in
// nf_conntrack_proto_tcp.c).
func changes(ev *EntryEvent, p *packet.Packet) bool {
	forth := p.Src == ev.Original.Src && p.Dst == ev.Original.Dst
	back := p.Src == ev.Reply.Src && p.Dst == ev.Reply.Dst
	if !forth && !back {
		return false
	}
	if !ev.HasTCP {
		return true
	}
	switch ev.TCP {
	case conntrack.TCPSynRecv:
		return p.Flags.Has(packet.SYN | packet.ACK)
	case conntrack.TCPSynSent, conntrack.TCPSynSent2:
		return p.Flags.Has(packet.SYN)
	case conntrack.TCPFinWait, conntrack.TCPLastAck:
		return p.Flags.Has(packet.FIN)
	case conntrack.TCPClose:
		return p.Flags.Has(packet.RST)
	}
	return p.Flags.Has(packet.ACK) && !p.Flags.Has(packet.SYN)
}

// sameSegment tells whether two captures are of one packet: translation leaves all these alone.
func sameSegment(p, q *packet.Packet) bool {
	return p.Protocol == q.Protocol && p.ID == q.ID && p.Seq == q.Seq && p.Ack == q.Ack && p.Flags == q.Flags && p.Payload == q.Payload
}
