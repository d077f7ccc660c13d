package oracle

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/ctsim/ctsim/probe/packet"
)

// message is a datagram of the client's: when it left, whether a server's program has answered it, with the same bytes, and
// whether the answer came to the client's socket.
type message struct {
	at                            time.Time
	came, answered, back, strange bool
}

// datagrams gives an opinion of a UDP socket. A server answers each message with its bytes: an answer shows that the program
// has received it.
func datagrams(f *Facts, conn Connection, packets []packet.Packet) Opinion {
	var o Opinion
	messages, refused := exchanged(f, conn, packets)
	last, entries := f.disturbed(conn)
	var after []*message
	healed := true
	for _, m := range messages {
		if !m.answered {
			o.Lost++
		}
		if m.at.After(entries) {
			after = append(after, m)
			healed = healed && m.back
		}
	}
	switch {
	case len(messages) == 0 && f.met(conn.ID, "ECONNREFUSED") == nil:
		o.only("nothing was sent", Survived, Inconclusive)
	case len(after) == 0 && f.met(conn.ID, "ECONNREFUSED") != nil:
		o.only("nothing was sent after the entries were taken away, and it had been refused before", Inconclusive, Refused)
	case len(after) == 0:
		o.only("nothing was sent after the entries were taken away", Inconclusive)
	case messages[len(messages)-1].strange:
		o.only("another application has answered the last message", WrongBackend)
	case !messages[len(messages)-1].back && refused:
		o.only("the last message was not answered, and an ICMP error told so", Refused, Hang)
	case !messages[len(messages)-1].back:
		o.only("the last message was not answered", Hang)
	case !healed:
		o.only("a message went unanswered, a later one was answered", Survived, Refused)
	default:
		o.only("every message was answered", Survived)
	}
	// Whether the last message would fare so now, nobody knows.
	if n := len(messages); n > 0 && messages[n-1].at.Before(last) && !o.Allows("inconclusive") {
		o.Possible = append(o.Possible, Inconclusive)
	}
	return o
}

// exchanged are a socket's messages in order, and whether an ICMP error has come for one of them.
func exchanged(f *Facts, conn Connection, packets []packet.Packet) (all []*message, refused bool) {
	byText := map[string]*message{}
	for i := range packets {
		p := &packets[i]
		if p.Time.Before(conn.Since) {
			continue
		}
		if p.Protocol == packet.ICMP && p.At == f.Client && p.Direction == packet.In &&
			(f.ClientForwards || p.Error.Src.Port() == conn.Local.Port()) { // a node's ports are not yet translated back
			refused = true
		}
		if p.Protocol != packet.UDP || p.Payload == 0 || len(p.Data) < p.Payload {
			continue
		}
		text := p.Data[len(p.Data)-p.Payload:]
		if id, _, ok := bytes.Cut(text, []byte(".")); !ok || !numbered(id, conn.ID) {
			continue
		}
		m := byText[string(text)]
		server := slices.Contains(f.Servers, p.At)
		switch {
		case p.At == f.Client && p.Direction == packet.Out && m == nil:
			m = &message{at: p.Time}
			byText[string(text)] = m
			all = append(all, m)
		case m == nil:
		case server && p.Direction == packet.In:
			m.came = true
		case server && p.Direction == packet.Out:
			m.answered = true
			m.strange = m.strange || slices.Contains(f.Strangers, p.At)
		case p.At == f.Client && p.Direction == packet.In:
			m.back = m.back || f.ClientForwards || p.Src == f.Service && p.Dst == conn.Local
		}
	}
	return all, refused
}

// numbered tells whether digits are a connection's number.
func numbered(digits []byte, id int) bool {
	n, err := strconv.Atoi(string(digits))
	return err == nil && n == id
}
