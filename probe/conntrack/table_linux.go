package conntrack

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	timo "github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// ErrNotFound is in the chain when the table has no such entry.
var ErrNotFound = errors.New("no such conntrack entry")

// ErrExists is in the chain when Create finds one of its tuples taken.
var ErrExists = errors.New("conntrack entry exists")

// List gives every entry of the namespace, of both address families. Expired entries that the dump meets are removed by
// the kernel and not listed. Equivalent: `conntrack -L` and `-L -f ipv6`.
func List(ns *topology.Namespace) ([]Entry, error) {
	var entries []Entry
	err := with(ns, answerWithin, timo.Dial, func(c *timo.Conn, _ uint32) error {
		flows, err := c.Dump(nil)
		now := time.Now()
		for _, f := range flows {
			entries = append(entries, dumped(f, now))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list conntrack of %s: %w", ns.Name(), err)
	}
	return entries, nil
}

// Get looks one entry up by its original or its reply tuple; ErrNotFound if there is none. An expired entry is not
// found, and the look-up makes the kernel remove it and send its DESTROY. Equivalent: `conntrack -G`.
func Get(ns *topology.Namespace, tuple Tuple) (Entry, error) {
	e, err := get(ns, tuple)
	if err != nil {
		return Entry{}, fmt.Errorf("look up in conntrack of %s: %w", ns.Name(), err)
	}
	return e, nil
}

func get(ns *topology.Namespace, tuple Tuple) (e Entry, err error) {
	err = with(ns, answerWithin, timo.Dial, func(c *timo.Conn, _ uint32) error {
		f, failed := c.Get(tuple.flow())
		e = dumped(f, time.Now())
		return failed
	})
	return e, explain(err, tuple)
}

// worthADump is how many look-ups take as long as a dump, which goes through the hash table of the whole machine.
const worthADump = 256

// Collect makes the kernel take those of the entries out of its table whose time is over, and send their DESTROY, now:
// left alone it may do so half a minute later (gc_worker, GC_SCAN_INTERVAL_MAX). It gives those that live on as they are now;
// what is not in the table is passed over. Equivalent: `conntrack -G` for each, or `conntrack -L`.
func Collect(ns *topology.Namespace, entries []Entry) (living []Entry, err error) {
	inZone := slices.ContainsFunc(entries, func(e Entry) bool { return e.Zone != 0 }) // where a look-up by tuples finds nothing
	if len(entries) > worthADump || inZone {
		return List(ns)
	}
	err = with(ns, answerWithin, timo.Dial, func(c *timo.Conn, _ uint32) error {
		for _, e := range entries {
			f, failed := c.Get(e.Original.flow())
			switch {
			case failed == nil:
				living = append(living, dumped(f, time.Now()))
			case !errors.Is(failed, unix.ENOENT):
				return explain(failed, e.Original)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up in conntrack of %s: %w", ns.Name(), err)
	}
	return living, nil
}

// Flush empties the table, of both address families. PortID is what the DESTROY events carry, so that a flush of ours
// can be told from somebody else's. Equivalent: `conntrack -F`.
func Flush(ns *topology.Namespace) (portID uint32, err error) {
	err = with(ns, answerWithin, timo.Dial, func(c *timo.Conn, port uint32) error {
		portID = port
		return c.Flush()
	})
	if err != nil {
		return 0, fmt.Errorf("flush conntrack of %s: %w", ns.Name(), err)
	}
	return portID, nil
}

// Delete removes one entry, found by e.Original and, unless it is 0, e.ID: the entry that took the place of an earlier
// one with the same tuple is left alone and gives ErrNotFound. PortID is as for Flush. Equivalent: `conntrack -D`, which
// does not match the ID.
//
// The request with an ID is our own: that of github.com/ti-mo/conntrack v0.6.0 leaves the ID out.
func Delete(ns *topology.Namespace, e Entry) (portID uint32, err error) {
	if e.ID != 0 {
		portID, err = ask(ns, msgDelete, e.Original, ctaID, e.ID)
	} else {
		err = explain(with(ns, answerWithin, timo.Dial, func(c *timo.Conn, port uint32) error {
			portID = port
			return c.Delete(e.Original.flow())
		}), e.Original)
	}
	if err != nil {
		return 0, fmt.Errorf("delete from conntrack of %s: %w", ns.Name(), err)
	}
	return portID, nil
}

// SetTimeout sets the time an entry has left, in whole seconds, and nothing else of it; the next packet of the flow
// sets it anew. With 0 the entry is dead at once, but the kernel removes it and tells about it only when something looks
// at it: Expire does both. Listeners see an UPDATE with the caller's port id. ErrNotFound if there is no such entry.
// Equivalent: `conntrack -U -t SECONDS`.
//
// The request for 0 is our own: github.com/ti-mo/conntrack takes a Flow.Timeout of 0 for none, and would change nothing.
func SetTimeout(ns *topology.Namespace, tuple Tuple, left time.Duration) error {
	if err := setTimeout(ns, tuple, left); err != nil {
		return fmt.Errorf("set timeout in conntrack of %s: %w", ns.Name(), err)
	}
	return nil
}

func setTimeout(ns *topology.Namespace, tuple Tuple, left time.Duration) error {
	seconds, err := wholeSeconds(left)
	if err != nil {
		return err
	}
	if seconds == 0 {
		_, err := ask(ns, msgNew, tuple, ctaTimeout, 0)
		return err
	}
	f := tuple.flow()
	f.Timeout = seconds
	return explain(with(ns, answerWithin, timo.Dial, func(c *timo.Conn, _ uint32) error { return c.Update(f) }), tuple)
}

// Expire ends an entry as the passing of its timeout would: its time left is set to 0 and it is looked up, so that it is
// removed and its DESTROY event (DestroyedBy: Expired) is sent before Expire returns. ErrNotFound if there is no such
// entry. It fails if packets of the flow keep the entry alive in between.
func Expire(ns *topology.Namespace, tuple Tuple) error {
	if err := expire(ns, tuple); err != nil {
		return fmt.Errorf("expire in conntrack of %s: %w", ns.Name(), err)
	}
	return nil
}

func expire(ns *topology.Namespace, tuple Tuple) error {
	before, err := get(ns, tuple)
	if err != nil {
		return err
	}
	if err := setTimeout(ns, tuple, 0); err != nil {
		return err
	}
	after, err := get(ns, tuple)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if after.ID != before.ID {
		return nil // it went, and a packet made a new one
	}
	return fmt.Errorf("%s: a packet refreshed the entry before it could expire", tuple)
}

// creatableStatus are the bits a process may give to an entry; the kernel works the others out itself.
const creatableStatus = StatusSeenReply | StatusAssured

// Create adds entries to the table, in order, and stops at the first that fails; ErrExists if one of its tuples is
// taken. Of an entry it takes Original, Reply (Original.Invert if it is the zero value), Timeout, which must be a second
// or more, TCP if HasTCP, Mark if HasMark, and of Status SEEN_REPLY and ASSURED. A Reply that is not the inverse of Original is kept
// as it is, but the entry gets no SRC_NAT or DST_NAT bit, by which the kernel decides what to translate. Listeners see a
// NEW with the caller's port id. Equivalent: `conntrack -I`.
func Create(ns *topology.Namespace, entries ...Entry) error {
	err := with(ns, answerWithin, timo.Dial, func(c *timo.Conn, _ uint32) error {
		for _, e := range entries {
			f, err := e.flow()
			if err == nil {
				err = c.Create(f)
			}
			if err != nil {
				return explain(err, e.Original)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create in conntrack of %s: %w", ns.Name(), err)
	}
	return nil
}

// flow is what the kernel needs to make the entry.
func (e Entry) flow() (timo.Flow, error) {
	f := e.Original.flow()
	if e.Reply != (Tuple{}) {
		f.TupleReply = e.Reply.timo()
	}
	if status := e.Status & creatableStatus; status != 0 {
		f.Status = timo.Status(status | StatusConfirmed)
	}
	if e.HasTCP {
		f.ProtoInfo.TCP = &timo.ProtoInfoTCP{State: uint8(e.TCP)}
	}
	if e.HasMark {
		f.Mark = e.Mark
	}
	seconds, err := wholeSeconds(e.Timeout)
	f.Timeout = seconds
	return f, err
}

// wholeSeconds is what CTA_TIMEOUT can hold.
func wholeSeconds(d time.Duration) (uint32, error) {
	s := d / time.Second
	if d < 0 || d%time.Second != 0 || s > math.MaxUint32 {
		return 0, fmt.Errorf("timeout %s: whole seconds from 0 to %d are needed", d, uint32(math.MaxUint32))
	}
	return uint32(s), nil
}
