package account

import (
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/internal/fault"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

// tcp is the outcome of a TCP connection of ctsim's own client. The first rule that can tell decides.
func (j *judge) tcp() Outcome {
	for _, rule := range []func() Outcome{j.unopened, j.told, j.broken, j.unended, j.stuck, j.astray, j.inOrder, j.open} {
		if o := rule(); o != "" {
			return o
		}
	}
	return Unknown
}

// ends are the client and then the server.
func (j *judge) ends() []*end { return []*end{j.client, j.server} }

func (j *judge) peerOf(s *end) *end {
	if s == j.client {
		return j.server
	}
	return j.client
}

// unopened: nobody has called connect, or the run ended within.
func (j *judge) unopened() Outcome {
	if j.a.Flow.Local.Port() != 0 || j.client.failed != nil {
		return ""
	}
	j.d.decide("", ItemUse)
	return Unknown
}

// told: a program was told an error by its kernel.
func (j *judge) told() Outcome {
	first := j.firstError()
	if first == nil || peer.Errno(first.Err) == "ENOTCONN" { // the socket was over before that call: what ended it tells
		return ""
	}
	j.d.decide(string(first.Side), ItemError, ItemRST)
	o := outcomeOf(peer.Errno(first.Err), first.Call == peer.Connect)
	if o == Timeout {
		j.d.decide(string(first.Side), ItemFIN, ItemICMP)
	}
	return o
}

// firstError is the first that a program of either end was told; nil if none was.
func (j *judge) firstError() *peer.Report {
	var first *peer.Report
	for _, s := range j.ends() {
		if s == j.server && fault.Is("server-errors-ignored") {
			continue
		}
		if s.failed != nil && (first == nil || s.failed.Time.Before(first.Time) != fault.Is("last-error")) {
			first = s.failed
		}
	}
	return first
}

// outcomeOf is what an error means for the connection. Where a connect fails for what this machine lacks (a port, a
// descriptor), that is no outcome of a connection.
func outcomeOf(errno string, connecting bool) Outcome {
	switch {
	case errno == "EPIPE" && fault.Is("epipe-as-timeout"), errno == "ECONNREFUSED" && fault.Is("refused-as-timeout"):
		return Timeout
	case errno == "ETIMEDOUT" && fault.Is("timeout-as-hang"):
		return Hang
	}
	switch errno {
	case "ECONNREFUSED":
		if connecting {
			return Refused
		}
		return Timeout // a soft error: shown only when the retransmissions are over
	case "ECONNRESET", "EPIPE", "ECONNABORTED":
		return Reset
	case "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN":
		return Timeout
	}
	return Unknown
}

// broken: a socket is over, without both streams having ended in order, and its program has not looked yet; or it has left.
func (j *judge) broken() Outcome {
	if j.endedInOrder() || fault.Is("reset-not-looked-for") {
		return ""
	}
	for _, s := range j.ends() {
		switch {
		case s.last != nil && !s.closed() || s.at == "":
		case s.last != nil && s.last.Pending != nil:
			j.d.decide(string(s.side), ItemSocket, ItemRST)
			return outcomeOf(peer.Errno(s.last.Pending), false)
		case s.rst != nil:
			j.d.decide(string(s.side), ItemSocket, ItemRST)
			return Reset
		case s.gaveUp != nil && s.closing != nil: // close with unread data, or SO_LINGER 0
			j.d.decide("", ItemRST, ItemSocket)
			return Reset
		case s.gaveUp != nil:
			j.d.decide("", ItemRST, ItemSocket)
			return Timeout
		case j.forgotten(s) && s.unacknowledged() && j.knows(evidence.FromPackets):
			j.d.decide(string(s.side), ItemSocket)
			return Timeout
		}
	}
	return ""
}

// forgotten tells whether a socket is in no table any more although its kernel was asked. A server's may have gone with its pod.
func (j *judge) forgotten(s *end) bool {
	killed := slices.ContainsFunc(j.e.Deeds, func(d evidence.Deed) bool { return d.At == "step" && d.Kind == "kill-pod" })
	return s.last == nil && j.e.EndsRead && (s == j.client || !killed)
}

// finAcked tells whether the FIN of an end was acknowledged; nil if that is not known, or it has sent none.
func (j *judge) finAcked(s *end) *bool {
	switch state := s.finState(); {
	case s.fin != nil && fault.Is("fin-counted-acknowledged"):
		return new(true)
	case s.finAcked != nil:
		return new(true)
	case state != nil:
		return state
	case s.fin != nil && j.knows(evidence.FromPackets):
		return new(false)
	}
	return nil
}

// endedInOrder tells whether both sides have ended their streams, and both FINs were acknowledged.
func (j *judge) endedInOrder() bool {
	for _, s := range j.ends() {
		if acked := j.finAcked(s); acked == nil || !*acked {
			return false
		}
	}
	return true
}

// unended: a FIN is never acknowledged. One that was sent just once may still be on its way.
func (j *judge) unended() Outcome {
	for _, s := range j.ends() {
		acked := j.finAcked(s)
		if acked == nil || *acked {
			continue
		}
		j.d.decide(string(s.side), ItemFIN)
		j.d.decide(string(j.peerOf(s).side), ItemSocket)
		switch {
		case j.forgotten(s), s.closed():
			return Timeout // its kernel has given up
		case s.stuck(), s.fins > 1:
			return Hang
		}
		return Unknown
	}
	return ""
}

// stuck: what was sent last has been sent again and is not acknowledged.
func (j *judge) stuck() Outcome {
	for _, s := range j.ends() {
		if fault.Is("retransmissions-ignored") {
			return ""
		}
		if s.stuck() || s.last == nil && !j.e.EndsRead && s.unacknowledged() && s.data.Relative.Repeat == packet.Retransmission {
			j.d.decide(string(s.side), ItemSocket, ItemMessages, ItemICMP)
			return Hang
		}
	}
	return ""
}

// astray: a message has arrived at another's server.
func (j *judge) astray() Outcome {
	first, last := j.receivers()
	if last == "" || first == last && j.e.IsPod(last) || fault.Is("wrong-backend-survived") {
		return ""
	}
	j.d.decide("client", ItemMessages)
	return WrongBackend
}

// receivers are where the client's first and last message have arrived; empty if none has.
func (j *judge) receivers() (first, last string) {
	for _, r := range j.a.reports {
		if r.Side == peer.Server && r.Call == peer.Recv && r.Err == nil && r.Bytes > 0 {
			if first == "" {
				first = r.At
			}
			last = r.At
		}
	}
	return first, last
}

// inOrder: both sides have closed.
func (j *judge) inOrder() Outcome {
	if !j.client.ended() || !j.server.ended() {
		return ""
	}
	j.d.decide("", ItemFIN)
	if !j.endedInOrder() {
		j.d.decide("", ItemUnseen)
		return Unknown
	}
	return Closed
}

// agreeing are the pairs of states in which a connection is open and both ends know the same of it: open, or half-closed.
var agreeing = map[[2]string]bool{
	{"ESTABLISHED", "ESTABLISHED"}: true,
	{"FIN_WAIT2", "CLOSE_WAIT"}:    true,
	{"CLOSE_WAIT", "FIN_WAIT2"}:    true,
}

// agree tells whether both sockets are open and agree. The kernel forgets a socket that its program has closed a minute
// after its FIN was acknowledged (tcp_fin_timeout): then the other side's state alone tells.
func (j *judge) agree() bool {
	states := [2]string{j.client.state(), j.server.state()}
	for i, s := range j.ends() {
		if s.last == nil && j.e.EndsRead && s.finAcked != nil && s.rst == nil && states[1-i] == "CLOSE_WAIT" {
			return true
		}
	}
	return agreeing[states]
}

// open: all that was sent has arrived, and both sockets are open and agree. It needs at least one message since the last
// break, and that no later one can have been missed.
func (j *judge) open() Outcome {
	b := j.d
	switch {
	case !j.agree() && !fault.Is("ends-need-not-agree"):
		b.decide("", ItemSocket)
	case !j.delivered() && !fault.Is("undelivered-survives"):
		b.decide("", ItemMessages)
	case j.used() == 0 && !fault.Is("unused-survives"):
		b.decide("", ItemUse)
	case !j.knows(evidence.FromConntrack):
		b.decide("", ItemUnseen)
	default:
		b.decide("", ItemSocket, ItemFIN, ItemMessages, ItemUse)
		j.a.HalfClosed = j.client.ended() || j.server.ended()
		return Survived
	}
	return Unknown
}

// delivered tells whether every message of either side has arrived: the client's at the server's program, the server's in
// the client's kernel, since a client reads only when it is told to.
func (j *judge) delivered() bool {
	for _, s := range j.ends() {
		if s.last != nil && (s.last.SendQueue > 0 || s.last.Unacked > 0) {
			return false
		}
	}
	if !j.ownServer() {
		return !j.client.unacknowledged()
	}
	return len(j.server.received) >= len(j.client.sent)
}

// used counts the messages of either side since the last break; with UDP the client's, since a server only answers.
func (j *judge) used() int {
	n := len(since(j.client.sent, j.fault))
	if !j.datagrams {
		n += len(since(j.server.sent, j.fault))
	}
	return n
}

// useText is how often the connection was used since the last break, in words.
func useText(n int, broken bool) string {
	text := Count(n, "message", "messages")
	if n == 0 {
		text = "nothing was sent"
	}
	if broken {
		text += " since the last break"
	}
	return text
}

// unseenText is why a later break cannot be excluded; empty if it can.
func unseenText(e *evidence.Evidence, s evidence.Source) string {
	if e.Unwatched[s] {
		return fmt.Sprintf("%s was not watched", s)
	}
	if n := e.Lost[string(s)]; n > 0 {
		return fmt.Sprintf("up to %d %s observations were lost", n, s)
	}
	return ""
}
