package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/topology"
)

// entry is one that no packet will ever meet.
func entry() conntrack.Entry {
	tuple := conntrack.NewTuple(unix.IPPROTO_UDP, netip.MustParseAddrPort("172.18.219.65:40000"), netip.MustParseAddrPort("10.108.33.37:2222"))
	return conntrack.Entry{Original: tuple, Timeout: time.Hour}
}

// conntrackTable does to an entry what steps do: make, find, age, flush.
func conntrackTable(b *bench) error {
	return b.within(func(ns *topology.Namespace) error {
		e := entry()
		if err := conntrack.Create(ns, e); err != nil {
			return err
		}
		entries, err := conntrack.List(ns)
		if err != nil {
			return err
		}
		if len(entries) != 1 || entries[0].Original != e.Original {
			return fmt.Errorf("an entry was made, and %d are listed", len(entries))
		}
		if err := conntrack.SetTimeout(ns, e.Original, time.Minute); err != nil {
			return err
		}
		if _, err := conntrack.Flush(ns); err != nil {
			return err
		}
		if _, err := conntrack.Get(ns, e.Original); !errors.Is(err, conntrack.ErrNotFound) {
			return fmt.Errorf("flushed, and the entry is still there: %w", err)
		}
		return nil
	})
}

// conntrackEvents listens while an entry comes and goes.
func conntrackEvents(b *bench) error {
	return b.within(func(ns *topology.Namespace) error {
		seen := map[conntrack.EventType]bool{}
		listener, err := conntrack.Listen(ns, func(e conntrack.Event) { seen[e.Type] = true })
		if err != nil {
			return err
		}
		err = conntrack.Create(ns, entry())
		if err == nil {
			_, err = conntrack.Flush(ns)
		}
		// No event comes after Close, so that what was seen can be read.
		if err := errors.Join(err, listener.Drain(), listener.Close()); err != nil {
			return err
		}
		if !seen[conntrack.New] || !seen[conntrack.Destroy] {
			return fmt.Errorf("an entry was made and flushed, and no event told of it")
		}
		return nil
	})
}

// conntrackSysctls sets kube-proxy's values, as every run does on its nodes.
func conntrackSysctls(b *bench) error {
	return b.setAndRead(map[string]string{
		"net.netfilter.nf_conntrack_tcp_timeout_established": "86400",
		"net.netfilter.nf_conntrack_tcp_timeout_close_wait":  "3600",
		"net.netfilter.nf_conntrack_tcp_loose":               "0",
		"net.netfilter.nf_conntrack_tcp_be_liberal":          "1",
	})
}

// conntrackTimestamp makes an entry that knows when it began.
func conntrackTimestamp(b *bench) error {
	return b.within(func(ns *topology.Namespace) error {
		const key = "net.netfilter.nf_conntrack_timestamp"
		if err := set(ns, key, "1"); err != nil {
			return err
		}
		e := entry()
		if err := conntrack.Create(ns, e); err != nil {
			return &buildsOn{"conntrack", err}
		}
		got, err := conntrack.Get(ns, e.Original)
		if err == nil && got.Start.IsZero() {
			err = errors.New(key + " is 1, and a new entry has no time (CONFIG_NF_CONNTRACK_TIMESTAMP)")
		}
		return err
	})
}

// conntrackEnds deletes a TCP entry and looks whether its DESTROY says what state it had.
func conntrackEnds(b *bench) error {
	return b.within(func(ns *topology.Namespace) error {
		var events []conntrack.Event
		listener, err := conntrack.Listen(ns, func(e conntrack.Event) { events = append(events, e) })
		if err != nil {
			return &buildsOn{"conntrack-events", err}
		}
		e := conntrack.Entry{Original: conntrack.NewTuple(unix.IPPROTO_TCP, entry().Original.Src, entry().Original.Dst), Timeout: time.Hour,
			TCP: conntrack.TCPEstablished, HasTCP: true}
		err = conntrack.Create(ns, e)
		if err == nil {
			_, err = conntrack.Flush(ns)
		}
		if err := errors.Join(err, listener.Drain(), listener.Close()); err != nil {
			return &buildsOn{"conntrack", err}
		}
		return endsTold(events)
	})
}

// endsTold is the error if a DESTROY of a TCP entry lacks its state.
func endsTold(events []conntrack.Event) error {
	for _, e := range events {
		if e.Type == conntrack.Destroy && e.HasTCP {
			return nil
		}
	}
	return errors.New("a DESTROY carries no TCP state, as before Linux 5.12: what rests on how an entry ended is inconclusive")
}
