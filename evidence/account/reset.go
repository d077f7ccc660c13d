package account

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/kernel"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

// resets tells where a RST was sent and why, and as whose it arrived, for each pair of addresses once.
func (t *teller) resets() {
	said := map[[2]netip.AddrPort]bool{}
	for i, p := range t.a.Packets {
		way := [2]netip.AddrPort{p.Src, p.Dst}
		if !t.isReset(p, packet.Out) || said[way] {
			continue
		}
		said[way] = true
		c := t.whyReset(p)
		if c.answers {
			t.untranslated(p)
		}
		t.say(p.Time, on(append(c.known, p)...), "%s%s, %s > %s%s", c.why, c.sends(), p.Src, p.Dst, c.words)
		t.follows(p, t.a.Packets[i+1:])
	}
}

// follows tells where a RST arrived, and as what; or that it arrived nowhere.
func (t *teller) follows(sent *packet.Packet, rest []*packet.Packet) {
	last := sent
	for _, q := range rest {
		if !q.Flags.Has(packet.RST) || q.Seq != sent.Seq {
			continue
		}
		if t.isReset(q, packet.Out) {
			break // what arrives after this may be of another
		}
		if q.At != sent.At && t.isReset(q, packet.In) {
			t.arrives(sent, q)
			return
		}
		last = q
	}
	if last != sent && !t.blind(evidence.FromPackets) {
		t.say(last.Time, on(sent, last), "the RST is last seen at %s, as %s > %s: no pod gets it", last.At, last.Src, last.Dst)
	}
}

// blind tells whether a source was not watched, or has lost some of what it saw: that something was not seen there means
// nothing then.
func (t *teller) blind(s evidence.Source) bool {
	return t.e.Unwatched[s] || t.e.Lost[string(s)] > 0
}

// isReset tells whether a pod sends or gets a RST.
func (t *teller) isReset(p *packet.Packet, direction packet.Direction) bool {
	return p.Protocol == packet.TCP && p.Flags.Has(packet.RST) && p.Direction == direction &&
		(p.At == t.e.ClientAt || t.e.IsPod(p.At))
}

func (t *teller) arrives(sent, p *packet.Packet) {
	if t.e.Translates(p.At) { // seen before the node translates it for its own program
		t.say(p.Time, on(p), "the RST reaches %s as %s > %s, which translates it back", p.At, p.Src, p.Dst)
		return
	}
	role, facts := "translated on its way", on(sent, p)
	switch {
	case p.Src == t.e.Service:
		role, facts = "as if the service had sent it", on(p)
	case p.Src == sent.Src && p.Dst == sent.Dst:
		role = "with the pod's own address, un-translated"
	}
	t.say(p.Time, facts, "the RST reaches %s as %s > %s, %s", p.At, p.Src, p.Dst, role)
}

// nodeResets tells of a RST that reaches a pod and that no pod has sent: the one of a REJECT rule, for instance.
func (t *teller) nodeResets() {
	if t.blind(evidence.FromPackets) {
		return
	}
	sent := map[uint32]bool{}
	said := map[[2]netip.AddrPort]bool{}
	var first = map[uint32]*packet.Packet{} // where it was seen first
	for _, p := range t.a.Packets {
		if p.Protocol != packet.TCP || !p.Flags.Has(packet.RST) {
			continue
		}
		if first[p.Seq] == nil {
			first[p.Seq] = p
		}
		way := [2]netip.AddrPort{p.Src, p.Dst}
		switch {
		case t.isReset(p, packet.Out):
			sent[p.Seq] = true
		case t.isReset(p, packet.In) && !sent[p.Seq] && !said[way]:
			said[way] = true
			if node, by := t.rejecting(p); by != nil {
				t.say(p.Time, on(by, p), "the RST of %s's rule reaches %s as %s > %s%s: no pod has sent it", node, p.At, p.Src, p.Dst, t.own(p))
				continue
			}
			t.say(p.Time, on(first[p.Seq], p), "a RST reaches %s as %s > %s%s, which no pod has sent; it was first seen at %s",
				p.At, p.Src, p.Dst, t.own(p), first[p.Seq].At)
		}
	}
}

// own says so of a packet that reaches the client with a pod's own address, and so fits none of its sockets.
func (t *teller) own(p *packet.Packet) string {
	if p.At != t.e.ClientAt || t.e.Pods[p.Src.Addr()] == "" || p.Src == t.e.Service {
		return ""
	}
	return ", with the pod's own address, which no socket there has for its peer"
}

// rejecting is the node whose rule has answered with this RST, and the way of the packet that the rule rejected; nil if
// none was traced.
func (t *teller) rejecting(rst *packet.Packet) (node string, way any) {
	for i := range t.e.Paths {
		p := &t.e.Paths[i]
		answered := p.Packet.Src == rst.Dst && p.Packet.Dst == rst.Src || p.Last.Src == rst.Dst && p.Last.Dst == rst.Src
		if answered && strings.Contains(evidence.Dropper(p), "--reject-with tcp-reset") {
			return p.Node, p
		}
	}
	return "", nil
}

// untranslated tells of the packet that drew a RST from the client because it came with a pod's own address, although
// the node had an entry to translate it by; where it had none, that was told with the entry.
func (t *teller) untranslated(sent *packet.Packet) {
	if sent.At != t.e.ClientAt || t.e.Pods[sent.Dst.Addr()] == "" || t.e.Unwatched[evidence.FromConntrack] {
		return
	}
	for _, ev := range t.a.Events {
		if t.e.Translates(ev.Node) && ev.Type.String() == "NEW" && ev.Original.Src == sent.Dst && !ev.Time.After(sent.Time) {
			return
		}
	}
	for _, p := range t.a.Packets {
		if p.At == sent.At && p.Direction == packet.In && p.Src == sent.Dst && p.Dst == sent.Src && !p.Time.After(sent.Time) {
			t.say(p.Time, on(p), "%s > %s [%s] reaches %s with the pod's own address: no entry was applied to it", p.Src, p.Dst, p.Flags, p.At)
			return
		}
	}
}

// resetCause is why a pod sends a RST.
type resetCause struct {
	why string
	// words are the kernel's own, in brackets; empty if it was not asked.
	words string
	// answers is true if a packet drew it, and not the end of a socket that the pod had.
	answers bool
	// ours is true of one that ctsim has made and no kernel.
	ours bool
	// known are the facts by which it is known; none where it is that there was no such socket.
	known []any
}

// sends is what comes of the cause.
func (c resetCause) sends() string {
	switch {
	case c.answers:
		return " and answers RST"
	case c.ours:
		return ""
	}
	return ": its kernel sends RST"
}

// whyReset tells why a pod sends a RST. The kernel says so where it was asked. Otherwise it follows from what the socket
// did, and from the RST itself: one that answers a segment has its acknowledgement for a number and no ACK, one that ends
// a socket has both; what does not follow is not said.
func (t *teller) whyReset(sent *packet.Packet) resetCause {
	if d := injected(t.e, sent); d != nil {
		return resetCause{why: "ctsim's own step sends a RST from " + sent.At, ours: true, known: on(d)}
	}
	drew := t.drew(sent)
	event := wordOn(t.e, sent)
	c := resetCause{answers: event != nil && event.Packet || event == nil && !endsSocket(sent, drew)}
	if event != nil {
		c.words, c.known = " (its kernel: "+kernelWords(event)+")", on(event)
	}
	if !c.answers {
		why, known := t.whyEnds(sent, event)
		c.why, c.known = why, append(c.known, known...)
		return c
	}
	why, known := t.whyAnswers(sent, drew, event)
	c.why, c.known = why, append(c.known, on(known)...)
	return c
}

// endsSocket tells whether a RST ends a socket that its sender had: it then carries an ACK, and does not acknowledge a
// SYN that has none.
func endsSocket(sent, drew *packet.Packet) bool {
	answersSYN := drew != nil && drew.Flags.Has(packet.SYN) && !drew.Flags.Has(packet.ACK) && sent.Ack == drew.Seq+1+uint32(drew.Payload)
	return sent.Flags.Has(packet.ACK) && !answersSYN
}

// drew is the last packet that had come to the sender of a RST the other way; nil if none was seen.
func (t *teller) drew(sent *packet.Packet) (drew *packet.Packet) {
	for _, p := range t.a.Packets {
		if p.At == sent.At && p.Direction == packet.In && p.Src == sent.Dst && p.Dst == sent.Src && !p.Time.After(sent.Time) {
			drew = p
		}
	}
	return drew
}

// injected is the step by which ctsim itself has sent a RST from a server's pod; nil if it has not.
func injected(e *evidence.Evidence, sent *packet.Packet) *evidence.Deed {
	if !e.IsPod(sent.At) || wordOn(e, sent) != nil {
		return nil
	}
	var last *evidence.Deed
	for i := range e.Deeds {
		if d := &e.Deeds[i]; d.At == "step" && !d.Time.After(sent.Time) {
			last = d
		}
	}
	if last == nil || last.Kind != "inject" || !strings.Contains(last.Text, "RST") {
		return nil
	}
	return last
}

// whyAnswers tells why a segment was answered with a RST: whether one of the pod's programs ever had a socket with these
// two addresses, and what it did with it, or that the packet was a SYN.
func (t *teller) whyAnswers(sent, drew *packet.Packet, event *evidence.KernelEvent) (why string, known any) {
	switch {
	case event != nil && event.Reason == "TCP_ABORT_ON_DATA":
		return fmt.Sprintf("data arrives after the program in %s has closed its socket, so that nobody will read it: %s drops the connection", sent.At, sent.At), drew
	case event != nil && event.Reason == "TCP_TIMEWAIT_SOCKET" && drew != nil && drew.Payload > 0 && t.closed(sent) != nil:
		// The kernel keeps no more of a socket that was closed and waits for the other's FIN alone (tcp_time_wait).
		return fmt.Sprintf("data arrives after the program in %s has closed its socket: its kernel keeps no more of it than the end of the stream", sent.At), drew
	case event != nil && event.State != "" && event.State != "LISTEN" && event.State != "CLOSE":
		return fmt.Sprintf("%s has a socket in %s that does not take what it gets", sent.At, event.State), drew
	}
	for _, r := range t.a.reports {
		if r.At == sent.At && (r.Call == peer.Accept || r.Call == peer.Connect) && r.Err == nil &&
			r.Local == sent.Src && r.Remote == sent.Dst && !r.Time.After(sent.Time) {
			if closed := t.closed(sent); closed != nil && drew != nil && drew.Payload > 0 {
				return fmt.Sprintf("data arrives after the program in %s has closed its socket: %s no longer has this connection", sent.At, sent.At), closed
			}
			return sent.At + " no longer has this connection", r
		}
	}
	for _, p := range t.a.Packets { // also of programs that do not report what they do
		if p.At == sent.At && p.Direction == packet.Out && p.Flags.Has(packet.SYN) && p.Src == sent.Src && p.Dst == sent.Dst && !p.Time.After(sent.Time) {
			return sent.At + " no longer has this connection", p
		}
	}
	if drew != nil && drew.Flags.Has(packet.SYN) && !drew.Flags.Has(packet.ACK) {
		return fmt.Sprintf("nothing listens on port %d of %s, which refuses the connection", sent.Src.Port(), sent.At), drew
	}
	return sent.At + " has no such connection", nil
}

// ends are the kernel's reasons for a RST that answers nobody (enum sk_rst_reason), in words.
var endReasons = map[string]string{
	"TCP_KEEPALIVE_TIMEOUT": "keepalive of %s has had no answer and gives the connection up",
	"TCP_ABORT_ON_CLOSE":    "the program in %s closes its socket with data unread",
	"TCP_ABORT_ON_LINGER":   "the program in %s has closed its socket, and SO_LINGER or TCP_LINGER2 lets it not wait for the other side",
	"TCP_ABORT_ON_MEMORY":   "the kernel of %s has no memory left for this connection",
	"TCP_TIMEOUT":           "the kernel of %s has waited too long and gives the connection up",
}

// whyEnds tells why a socket ended with a RST that nobody had drawn.
func (t *teller) whyEnds(sent *packet.Packet, event *evidence.KernelEvent) (why string, known []any) {
	if event != nil {
		if words, ok := endReasons[event.Reason]; ok {
			return fmt.Sprintf(words, sent.At), nil
		}
	}
	if probes := t.unansweredProbes(sent); len(probes) > 0 {
		return fmt.Sprintf("keepalive of %s has had no answer to %s and gives the connection up", sent.At, Count(len(probes), "probe", "probes")), probes
	}
	closed := t.closed(sent)
	switch unread := t.unread(sent); {
	case closed != nil && unread > 0:
		return fmt.Sprintf("the program in %s closes its socket with %s unread", sent.At, Count(unread, "byte", "bytes")), on(closed)
	case closed != nil && event != nil && event.Reason == "TCP_STATE":
		return fmt.Sprintf("the program in %s closes its socket with SO_LINGER 0", sent.At), on(closed)
	case event != nil && event.Reason == "TCP_STATE":
		return fmt.Sprintf("the program in %s drops the connection at once, as close does with SO_LINGER 0", sent.At), nil
	case event != nil && event.Reason != "":
		return fmt.Sprintf("the kernel of %s ends the connection for the reason %s", sent.At, event.Reason), nil
	case closed != nil:
		return fmt.Sprintf("the program in %s closes its socket, and its kernel does not wait for the other side; why is %s", sent.At, t.unknown()), on(closed)
	}
	return fmt.Sprintf("the kernel of %s ends the connection without having been asked; why is %s", sent.At, t.unknown()), nil
}

// unknown says that only the kernel could tell.
func (t *teller) unknown() string {
	if t.e.Unwatched[evidence.FromKernel] && t.e.Rootless {
		return "not known without root"
	}
	return "not known"
}

// unansweredProbes are the keepalive probes before a RST since the last packet that came in.
func (t *teller) unansweredProbes(sent *packet.Packet) (probes []any) {
	for _, p := range t.a.Packets {
		switch {
		case p.At != sent.At || !p.Time.Before(sent.Time):
		case p.Direction == packet.In && p.Src == sent.Dst && p.Dst == sent.Src:
			probes = nil
		case p.Direction == packet.Out && p.Src == sent.Src && p.Dst == sent.Dst && p.Relative.Repeat == packet.KeepAlive:
			probes = append(probes, p)
		case p.Direction == packet.Out && p.Src == sent.Src && p.Dst == sent.Dst:
			probes = nil // it had more to say than probes
		}
	}
	return probes
}

// closed is the report of the program that has closed the socket from which a RST comes; nil if it has not.
func (t *teller) closed(sent *packet.Packet) any {
	for _, r := range t.a.reports {
		began := r.Time
		if !r.Began.IsZero() {
			began = r.Began
		}
		if r.At == sent.At && r.Call == peer.Close && r.Err == nil && !began.After(sent.Time) {
			return r
		}
	}
	return nil
}

// unread are the bytes that had come to a socket and that its program had not received; 0 if that is not known.
func (t *teller) unread(sent *packet.Packet) int {
	if t.blind(evidence.FromPackets) || t.e.External {
		return 0
	}
	n := 0
	for _, p := range t.a.Packets {
		if p.At == sent.At && p.Direction == packet.In && p.Src == sent.Dst && p.Dst == sent.Src && p.Time.Before(sent.Time) &&
			p.Relative.Repeat == packet.Fresh {
			n += p.Payload
		}
	}
	for _, r := range t.a.reports {
		if r.At == sent.At && r.Call == peer.Recv && r.Err == nil && !r.Time.After(sent.Time) {
			n -= r.Bytes
		}
	}
	return max(n, 0)
}

// sameReset is how far the kernel's word on a RST and the RST's own time may be apart, where the word comes after it.
const sameReset = 5 * time.Millisecond

// wordOn is what the kernel itself told of the RST that a pod sent: the last before it, or, of one that ends a socket,
// also one just after it; nil if it was not asked.
func wordOn(e *evidence.Evidence, sent *packet.Packet) (word *evidence.KernelEvent) {
	for i := range e.Kernel {
		ev := &e.Kernel[i]
		if ev.Kind != kernel.SendReset || ev.At != sent.At {
			continue
		}
		after := ev.Time.Sub(sent.Time)
		switch {
		case ev.Packet && ev.Dst == sent.Src && ev.Src == sent.Dst && after <= 0:
			word = ev
		case !ev.Packet && ev.Src == sent.Src && ev.Dst == sent.Dst && after <= sameReset && after >= -sameReset:
			return ev
		}
	}
	return word
}
