package conntrack

import (
	"errors"
	"os"
	"testing"
	"time"

	timo "github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

// The port id that a request is told it has is that of the events it causes: the process's id, and others when that is
// taken.
func TestKernelPortIDIsThatOfTheEvents(t *testing.T) {
	ns := newWorld(t)
	var r recorder
	l := listenTo(t, ns, &r) // the kernel gives it the process's id
	seen := map[uint32]bool{}
	for range 5 {
		check(t, Create(ns, manyEntries(1)...))
		port, err := Flush(ns)
		check(t, err)
		check(t, l.Drain())
		events := r.all()
		last := events[len(events)-1]
		if port == 0 || last.Type != Destroy || last.PortID != port || last.DestroyedBy() != Caller {
			t.Errorf("flushed as %d, got %q by %s, port id %d", port, last, last.DestroyedBy(), last.PortID)
		}
		seen[port] = true
	}
	if seen[uint32(os.Getpid())] || len(seen) != 5 {
		t.Errorf("port ids %v, want five that are not the process's id %d", seen, os.Getpid())
	}
	check(t, l.Close())
	if port, err := Flush(ns); err != nil || port != uint32(os.Getpid()) {
		t.Errorf("flushed as %d, %v, want the process's id %d", port, err, os.Getpid())
	}
}

// Two sockets at a time in one namespace, one within the other.
func TestKernelTwoRequestsAtOnce(t *testing.T) {
	ns := newWorld(t)
	err := with(ns, answerWithin, timo.Dial, func(_ *timo.Conn, first uint32) error {
		return with(ns, answerWithin, timo.Dial, func(c *timo.Conn, second uint32) error {
			if first == second {
				t.Errorf("both have port id %d", first)
			}
			_, err := c.Dump(nil)
			return err
		})
	})
	check(t, err)
}

// An answer that never comes is an error, not a hang, and leaves nothing open.
func TestKernelNoAnswer(t *testing.T) {
	ns := newWorld(t)
	before := descriptors(t)
	err := with(ns, 10*time.Millisecond, netfilter.Dial, func(c *netfilter.Conn, _ uint32) error {
		_, err := c.Receive()
		return err
	})
	if !errors.Is(err, errNoAnswer) {
		t.Errorf("got %v, want %v", err, errNoAnswer)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d file descriptors before, %d after", before, after)
	}
}

// What an event with an attribute of tomorrow's kernel does to a listener: those before it are handled, it is an error.
func TestDeliverUnread(t *testing.T) {
	_, good := firstOf(t, "article", New)
	bad := message(kindNew, nest(ctaTupleOrig, attr(99, 1)))
	var got []Event
	l := &Listener{handle: func(e Event) { got = append(got, e) }}
	check(t, l.deliver(good))
	if err := l.deliver(bad); !errors.Is(err, ErrUnknownAttribute) {
		t.Errorf("got %v, want ErrUnknownAttribute", err)
	}
	if err := l.deliver(good[:40]); !errors.Is(err, nlmsg.ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
	if len(got) != 1 || l.handled.Load() != 1 || got[0].Time.IsZero() || got[0].Seen.IsZero() {
		t.Errorf("handled %v", got)
	}
}
