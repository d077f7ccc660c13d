package oracle

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/probe/packet"
)

// Facts are what was captured and what the sockets said of themselves.
type Facts struct {
	// Client is the namespace of the client. ClientForwards is true if that is a node: what leaves it may be translated
	// already, what enters it not yet.
	Client         string
	ClientForwards bool
	// Service is the address that the client connects to; Servers are the namespaces with a server, Strangers those of them
	// that belong to another application.
	Service   netip.AddrPort
	Servers   []string
	Strangers []string
	UDP       bool
	Packets   []packet.Packet
	// Connections are those that the client tried to open.
	Connections []Connection
	Sockets     []Socket
	Errors      []Error
	// Disturbed are the moments at which something was done to the world.
	Disturbed []Disturbance
}

// Connection is a socket of the client: its address, and when it was made.
type Connection struct {
	ID    int
	Local netip.AddrPort
	Since time.Time
}

// Socket is one end of a connection when the run ended, as TCP_INFO has it.
type Socket struct {
	Connection int
	OfClient   bool
	State      string
	// SendQueue is bytes written and not yet acknowledged, sent or not.
	SendQueue int
}

// Error is an error that a socket gave to the program that held it.
type Error struct {
	Connection int
	OfClient   bool
	Time       time.Time
	Errno      string
	// Connecting is true if it was the connect that failed. Deadline is true if the program's own patience has ended, not the
	// kernel's.
	Connecting, Deadline bool
}

// Disturbance is a moment at which something was done to the world.
type Disturbance struct {
	Time time.Time
	// Entries is true if connections' entries were taken away on the node that translates; it may have been something else,
	// or elsewhere.
	Entries bool
	// PodGone is the server's pod that went, and its sockets with it; empty if none did.
	PodGone string
	// Connection is the only one concerned, 0 for all.
	Connection int
}

// Outcome is a word for what became of a connection.
type Outcome string

// The outcomes. Inconclusive is that of a connection that shows nothing.
const (
	Survived     Outcome = "survived"
	Closed       Outcome = "closed"
	Reset        Outcome = "reset"
	Hang         Outcome = "hang"
	Refused      Outcome = "refused"
	Timeout      Outcome = "timeout"
	WrongBackend Outcome = "wrong-backend"
	Inconclusive Outcome = "inconclusive"
)

// Opinion is what can be said of a connection.
type Opinion struct {
	ID int
	// Possible are the outcomes that the facts allow; Why is one line.
	Possible []Outcome
	Why      string
	// Lost is how many of the client's messages left it and reached no server; -1 if that cannot be told.
	Lost int
	// ResetSeen is true if a RST was seen where the client is, on its way in or out.
	ResetSeen bool
	// ClientReset is true if one has certainly ended the client's socket while the server's stayed; ServerOpen if the server's
	// was in ESTABLISHED at the end.
	ClientReset, ServerOpen bool
	// Broken is how often an entry of the connection was taken away, LastBroken when the last was; zero if none was.
	Broken     int
	LastBroken time.Time
	// Moved tells whether the client's last bytes came to another pod than its first; nil if that cannot be told.
	Moved *bool
	// Errors are the errors that its sockets gave.
	Errors []Error
}

// Decided tells whether the opinion can contradict: of eight outcomes two at most are left.
func (o Opinion) Decided() bool { return len(o.Possible) <= 2 }

// Allows tells whether the outcome is possible.
func (o Opinion) Allows(name string) bool { return slices.Contains(o.Possible, Outcome(name)) }

// String is the set and the reason.
func (o Opinion) String() string {
	words := make([]string, len(o.Possible))
	for i, p := range o.Possible {
		words[i] = string(p)
	}
	return strings.Join(words, " or ") + ": " + o.Why
}

// only is an opinion's set.
func (o *Opinion) only(why string, outcomes ...Outcome) {
	o.Possible, o.Why = outcomes, why
}

// Judge gives an opinion of each connection, in their order.
func Judge(f *Facts) []Opinion {
	packets := slices.Clone(f.Packets)
	packet.Sort(packets)
	out := make([]Opinion, 0, len(f.Connections))
	for _, c := range f.Connections {
		var o Opinion
		if f.UDP {
			o = datagrams(f, c, packets)
		} else {
			o = stream(f, c, packets)
		}
		o.ID = c.ID
		f.surroundings(c, packets, &o)
		for _, e := range f.Errors {
			if e.Connection == c.ID {
				o.Errors = append(o.Errors, e)
			}
		}
		// A program whose own patience has ended calls that a timeout too.
		if slices.ContainsFunc(o.Errors, func(e Error) bool { return e.Deadline }) && !o.Allows("timeout") {
			o.Possible = append(o.Possible, Timeout)
		}
		out = append(out, o)
	}
	return out
}

// surroundings fills in what is the same for streams and datagrams.
func (f *Facts) surroundings(c Connection, packets []packet.Packet, o *Opinion) {
	for _, d := range f.Disturbed {
		if d.Connection == c.ID {
			o.Broken++
			o.LastBroken = later(o.LastBroken, d.Time)
		}
	}
	for i := range packets {
		p := &packets[i]
		if p.At == f.Client && !p.Time.Before(c.Since) && p.Flags.Has(packet.RST) && (p.Src == c.Local || p.Dst == c.Local) {
			o.ResetSeen = true
		}
	}
	server := f.socket(c.ID, false)
	o.ServerOpen = server != nil && server.State == "ESTABLISHED"
	o.ClientReset = o.ClientReset && o.ServerOpen
}

// socket is one end when the run ended; nil if nobody had it any more.
func (f *Facts) socket(id int, ofClient bool) *Socket {
	for i, s := range f.Sockets {
		if s.Connection == id && s.OfClient == ofClient {
			return &f.Sockets[i]
		}
	}
	return nil
}

// met is the first error of a connection that its kernel has given to one of its programs, nil if none has.
func (f *Facts) met(id int, errnos ...string) *Error {
	for i, e := range f.Errors {
		if e.Connection == id && !e.Deadline && slices.Contains(errnos, e.Errno) {
			return &f.Errors[i]
		}
	}
	return nil
}

// podGone is when a pod went, zero if it did not.
func (f *Facts) podGone(place string) time.Time {
	for _, d := range f.Disturbed {
		if d.PodGone != "" && d.PodGone == place {
			return d.Time
		}
	}
	return time.Time{}
}

// disturbed is when a connection was last disturbed in any way, and when its entries were last taken away; zero if never.
func (f *Facts) disturbed(c Connection) (last, entries time.Time) {
	for _, d := range f.Disturbed {
		if d.Time.Before(c.Since) || d.Connection != 0 && d.Connection != c.ID {
			continue
		}
		last = later(last, d.Time)
		if d.Entries {
			entries = later(entries, d.Time)
		}
	}
	return last, entries
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
