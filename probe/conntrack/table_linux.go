package conntrack

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/vishvananda/netlink/nl"
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
	err := with(ns, func(c *conn) (err error) {
		entries, err = c.dump()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list conntrack of %s: %w", ns.Name(), err)
	}
	return entries, nil
}

func (c *conn) dump() ([]Entry, error) {
	var entries []Entry
	err := c.do(msgGet, unix.NLM_F_DUMP, unix.AF_UNSPEC, nil, func(payload []byte) error {
		e, err := decodeEntry(payload)
		e.Seen = time.Now()
		entries = append(entries, e)
		return err
	})
	return entries, err
}

// Get looks one entry up by its original or its reply tuple; ErrNotFound if there is none. An expired entry is not
// found, and the look-up makes the kernel remove it and send its DESTROY. Equivalent: `conntrack -G`.
func Get(ns *topology.Namespace, tuple Tuple) (Entry, error) {
	var e Entry
	err := with(ns, func(c *conn) (err error) {
		e, err = c.get(tuple)
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("look up in conntrack of %s: %w", ns.Name(), err)
	}
	return e, nil
}

func (c *conn) get(tuple Tuple) (Entry, error) {
	var e Entry
	attr, err := tuple.attribute(ctaTupleOrig)
	if err != nil {
		return e, err
	}
	err = c.do(msgGet, unix.NLM_F_ACK, tuple.family(), []*nl.RtAttr{attr}, func(payload []byte) (err error) {
		e, err = decodeEntry(payload)
		e.Seen = time.Now()
		return err
	})
	return e, explain(err, tuple)
}

// Flush empties the table, of both address families. PortID is what the DESTROY events carry, so that a flush of ours
// can be told from somebody else's. Equivalent: `conntrack -F`.
func Flush(ns *topology.Namespace) (portID uint32, err error) {
	err = with(ns, func(c *conn) (err error) {
		if portID, err = c.portID(); err != nil {
			return err
		}
		return c.do(msgDelete, unix.NLM_F_ACK, unix.AF_UNSPEC, nil, nil)
	})
	if err != nil {
		return 0, fmt.Errorf("flush conntrack of %s: %w", ns.Name(), err)
	}
	return portID, nil
}

// Delete removes one entry, found by e.Original and, unless it is 0, e.ID: the entry that took the place of an earlier
// one with the same tuple is left alone and gives ErrNotFound. PortID is as for Flush. Equivalent: `conntrack -D`, which
// does not match the ID.
func Delete(ns *topology.Namespace, e Entry) (portID uint32, err error) {
	attr, err := e.Original.attribute(ctaTupleOrig)
	if err == nil {
		attrs := []*nl.RtAttr{attr}
		if e.ID != 0 {
			attrs = append(attrs, number32(ctaID, e.ID))
		}
		err = with(ns, func(c *conn) (err error) {
			if portID, err = c.portID(); err != nil {
				return err
			}
			return explain(c.do(msgDelete, unix.NLM_F_ACK, e.Original.family(), attrs, nil), e.Original)
		})
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
func SetTimeout(ns *topology.Namespace, tuple Tuple, left time.Duration) error {
	err := with(ns, func(c *conn) error { return c.setTimeout(tuple, left) })
	if err != nil {
		return fmt.Errorf("set timeout in conntrack of %s: %w", ns.Name(), err)
	}
	return nil
}

func (c *conn) setTimeout(tuple Tuple, left time.Duration) error {
	seconds, err := wholeSeconds(left)
	if err != nil {
		return err
	}
	attr, err := tuple.attribute(ctaTupleOrig)
	if err != nil {
		return err
	}
	// Neither NLM_F_CREATE nor NLM_F_REPLACE: an entry that is not there must not be made.
	attrs := []*nl.RtAttr{attr, number32(ctaTimeout, seconds)}
	return explain(c.do(msgNew, unix.NLM_F_ACK, tuple.family(), attrs, nil), tuple)
}

// Expire ends an entry as the passing of its timeout would: its time left is set to 0 and it is looked up, so that it is
// removed and its DESTROY event (DestroyedBy: Expired) is sent before Expire returns. ErrNotFound if there is no such
// entry. It fails if packets of the flow keep the entry alive in between.
func Expire(ns *topology.Namespace, tuple Tuple) error {
	err := with(ns, func(c *conn) error { return c.expire(tuple) })
	if err != nil {
		return fmt.Errorf("expire in conntrack of %s: %w", ns.Name(), err)
	}
	return nil
}

func (c *conn) expire(tuple Tuple) error {
	before, err := c.get(tuple)
	if err != nil {
		return err
	}
	if err := c.setTimeout(tuple, 0); err != nil {
		return err
	}
	after, err := c.get(tuple)
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

// Count is the number of entries in the namespace's table, expired ones that nobody looked at included.
// Equivalent: `conntrack -C`, `sysctl net.netfilter.nf_conntrack_count`.
func Count(ns *topology.Namespace) (int, error) {
	s, err := ns.Sysctl("net.netfilter.nf_conntrack_count")
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("conntrack count of %s: %w", ns.Name(), err)
	}
	return n, nil
}

// wholeSeconds is what CTA_TIMEOUT can hold.
func wholeSeconds(d time.Duration) (uint32, error) {
	s := d / time.Second
	if d < 0 || d%time.Second != 0 || s > math.MaxUint32 {
		return 0, fmt.Errorf("timeout %s: whole seconds from 0 to %d are needed", d, uint32(math.MaxUint32))
	}
	return uint32(s), nil
}

// explain adds the tuple and the errors of this package to an errno of the kernel.
func explain(err error, tuple Tuple) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s: %w (%w)", tuple, ErrNotFound, err)
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%s: %w (%w)", tuple, ErrExists, err)
	}
	return fmt.Errorf("%s: %w", tuple, err)
}
