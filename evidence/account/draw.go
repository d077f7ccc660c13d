package account

import (
	"fmt"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/peer"
)

// draw puts everything on the balance that is known of both ends.
func (j *judge) draw() {
	for _, s := range j.ends() {
		switch {
		case j.datagrams && s == j.server:
			continue // one socket for all
		case j.datagrams && s.last != nil && s.last.Pending != nil:
			j.d.add(ItemSocket, string(s.side), s.at, peer.Errno(s.last.Pending)+" waits for the client's next call", s.sample)
		case !j.datagrams && s.at != "" && j.a.Flow.Local.Port() != 0:
			j.d.add(ItemSocket, string(s.side), s.at, s.socketText(j.e.EndsRead), s.sample)
		}
		j.drawFIN(s)
		j.drawErrors(s)
	}
	if j.e.External {
		j.drawBytes()
	} else {
		j.drawMessages()
	}
	for _, source := range []evidence.Source{evidence.FromConntrack, evidence.FromPackets} {
		if text := unseenText(j.e, source); text != "" {
			j.d.add(ItemUnseen, "", "", text)
		}
	}
	j.d.sort()
}

// drawFIN tells of the end of a side's stream.
func (j *judge) drawFIN(s *end) {
	if !s.ended() {
		return
	}
	whose, facts := s.whose()+"'s FIN", []any{fact(s.fin), fact(s.closing)}
	switch acked := j.finAcked(s); {
	case acked == nil:
		j.d.add(ItemFIN, string(s.side), s.at, "it is not known whether "+whose+" was acknowledged", facts...)
	case *acked:
		j.d.add(ItemFIN, string(s.side), s.at, whose+" was acknowledged", append(facts, fact(s.finAcked))...)
	default:
		text := whose + " was never acknowledged"
		if s.fins > 1 {
			text += fmt.Sprintf(", sent %d times", s.fins)
		}
		j.d.add(ItemFIN, string(s.side), s.at, text, append(facts, s.sample)...)
	}
}

// drawErrors tells of each RST and ICMP error and whom it reached, and of the first error that the program was told.
func (j *judge) drawErrors(s *end) {
	side, who := string(s.side), s.whose()
	if s.rst != nil {
		j.d.add(ItemRST, side, s.at, "a RST reached "+who+"'s socket", s.rst)
	}
	if s.gaveUp != nil {
		j.d.add(ItemRST, side, s.at, who+"'s kernel sent a RST of its own", s.gaveUp)
	}
	if s.icmp != nil {
		j.d.add(ItemICMP, side, s.at, fmt.Sprintf("an ICMP error reached %s: %s", who, s.icmp.Error), s.icmp)
	}
	if s.failed != nil {
		j.d.add(ItemError, side, s.at, fmt.Sprintf("%s's %s got %s", who, s.failed.Call, peer.Errno(s.failed.Err)), s.failed)
	}
}

// drawMessages sets what each side's program has handed to its kernel against what the other's has received.
func (j *judge) drawMessages() {
	if n := len(j.client.sent); n > 0 && j.ownServer() {
		first, last := j.receivers()
		where := ""
		if last != "" {
			where = " at " + last
		}
		if first != last {
			where += ", the first at " + first
		}
		got := j.arrivals()
		text := fmt.Sprintf("%d of the client's %s arrived%s", len(got), Count(n, "message", "messages"), where)
		j.d.add(ItemMessages, "client", j.e.ClientAt, text, lastFacts(j.client.sent, got)...)
	}
	if n := len(j.server.sent); n > 0 {
		what := Count(n, "message", "messages")
		if j.datagrams {
			what = Count(n, "answer", "answers")
		}
		text := fmt.Sprintf("it is not known how many of %s's %s arrived", j.server.whose(), what)
		if j.a.LostAnswers != nil {
			text = fmt.Sprintf("%d of %s's %s arrived at the client", n-*j.a.LostAnswers, j.server.whose(), what)
		}
		j.d.add(ItemMessages, "server", j.server.at, text, append(lastFacts(j.server.sent, j.client.received), fact(j.client.got))...)
	}
	use := useText(j.used(), !j.fault.IsZero())
	if j.a.Flow.Local.Port() == 0 {
		use = "the connection was never opened"
	}
	j.d.add(ItemUse, "", "", use, lastFacts(since(j.client.sent, j.fault), since(j.server.sent, j.fault))...)
}

// arrivals are the client's messages that a server's program has received, wherever.
func (j *judge) arrivals() []*peer.Report {
	var out []*peer.Report
	for _, r := range j.a.reports {
		if r.Side == peer.Server && r.Call == peer.Recv && r.Err == nil && r.Bytes > 0 {
			out = append(out, r)
		}
	}
	return out
}

// drawBytes is drawMessages for programs that tell nothing of their calls: what each has sent, what of it the other's
// kernel has acknowledged, and what the other program has not read.
func (j *judge) drawBytes() {
	for _, s := range j.ends() {
		if s.at == "" || s.bytes == 0 {
			continue
		}
		other := j.peerOf(s)
		text := fmt.Sprintf("%s sent by %s", Count(s.bytes, "byte", "bytes"), s.whose())
		if s.unacknowledged() {
			text += ", the last of them never acknowledged"
		} else {
			text += ", all acknowledged"
		}
		if other.last != nil && other.last.RecvQueue > 0 {
			text += fmt.Sprintf(", %d not read", other.last.RecvQueue)
		}
		j.d.add(ItemMessages, string(s.side), s.at, text, fact(s.data), fact(s.ackedBy))
	}
}

// fact is nil for a nil pointer, and not an interface that holds one.
func fact[T any](p *T) any {
	if p == nil {
		return nil
	}
	return p
}

// lastFacts are the last of each list: what came before them is on the timeline.
func lastFacts(lists ...[]*peer.Report) []any {
	var out []any
	for _, all := range lists {
		if len(all) > 0 {
			out = append(out, all[len(all)-1])
		}
	}
	return out
}
