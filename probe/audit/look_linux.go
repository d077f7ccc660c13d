package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

const (
	countKey       = "net.netfilter.nf_conntrack_count"
	establishedKey = "net.netfilter.nf_conntrack_tcp_timeout_established"
	finWaitKey     = "net.netfilter.nf_conntrack_tcp_timeout_fin_wait"
	closeWaitKey   = "net.netfilter.nf_conntrack_tcp_timeout_close_wait"
	looseKey       = "net.netfilter.nf_conntrack_tcp_loose"
	keepaliveKey   = "net.ipv4.tcp_keepalive_time"
)

// reading is a Look being made, with what went wrong on the way.
type reading struct {
	Look
	problems []string
}

func (r *reading) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// readFirst reads what has to be read of all namespaces before any table is: whatever socket is seen had its entry made
// before.
func readFirst(ns *topology.Namespace, caller Caller) (*reading, error) {
	r := &reading{Look: Look{Caller: caller}}
	if err := r.readSockets(ns); err != nil {
		return nil, err
	}
	system, err := number(ns, keepaliveKey)
	if err != nil {
		r.problem("%s", err)
	}
	r.System = time.Duration(system) * time.Second
	return r, nil
}

// readRest reads the table.
func (r *reading) readRest(ns *topology.Namespace, kernel *insider) error {
	r.Table = r.readTable(ns)
	if err := r.confirm(ns); err != nil {
		return err
	}
	r.readInside(ns, kernel)
	return nil
}

// readInside adds what only BPF can tell.
func (r *reading) readInside(ns *topology.Namespace, kernel *insider) {
	if kernel == nil {
		return
	}
	in, err := kernel.read(ns, r.System)
	if err != nil {
		r.problem("%s", err)
		return
	}
	r.Settings = in.settings
	r.Table.HooksKnown, r.Table.TracksIPv4, r.Table.TracksIPv6 = in.known, in.tracksIPv4, in.tracksIPv6
}

func (r *reading) readSockets(ns *topology.Namespace) (err error) {
	if !diag.loaded() {
		r.problem("times idle are not known: sockets were read from /proc/net/tcp, because tcp_diag is not loaded and ctsim loads nothing " +
			"(sudo modprobe tcp_diag, or use ss once)")
	}
	r.Now = time.Now()
	r.Sockets, err = r.sockets(ns)
	return err
}

// sockets reads them and notes nothing.
func (r *reading) sockets(ns *topology.Namespace) ([]socket.Socket, error) {
	if !diag.loaded() {
		return socket.ListProc(ns)
	}
	return socket.List(ns)
}

// readTable reads a namespace's conntrack table as far as the caller may. Its problems are noted, none is an error.
func (r *reading) readTable(ns *topology.Namespace) *Table {
	count, err := number(ns, countKey)
	if errors.Is(err, fs.ErrNotExist) {
		if tracking.absent() {
			return &Table{Name: ns.Name(), State: TableNone}
		}
		// Before Linux 5.13 the namespaces of a user namespace had tables, but not these files.
		r.problem("conntrack table of %s not read: %s", ns.Name(), err)
		return &Table{Name: ns.Name(), State: TableUnreadable}
	}
	t := &Table{Name: ns.Name(), State: TableEmpty}
	switch {
	case err != nil:
		r.problem("%s", err)
		t.State = TableUnreadable
	case count > 0:
		t = r.readEntries(ns, count)
	}
	established, err := number(ns, establishedKey)
	if err != nil {
		r.problem("%s", err)
	}
	t.Established = time.Duration(established) * time.Second
	finWait, _ := number(ns, finWaitKey)
	closeWait, _ := number(ns, closeWaitKey)
	t.FinWait, t.CloseWait = time.Duration(finWait)*time.Second, time.Duration(closeWait)*time.Second
	if loose, err := number(ns, looseKey); err == nil && loose == 0 {
		t.Strict = true
	}
	return t
}

func (r *reading) readEntries(ns *topology.Namespace, count int) *Table {
	unreadable := &Table{Name: ns.Name(), State: TableUnreadable, Entries: count}
	if !ctnetlink.loaded() {
		r.problem("conntrack table of %s not read: nf_conntrack_netlink is not loaded, and ctsim loads nothing (sudo modprobe nf_conntrack_netlink)",
			ns.Name())
		return unreadable
	}
	entries, err := conntrack.List(ns)
	switch {
	case errors.Is(err, unix.EPERM):
		r.problem("conntrack table of %s not read: that needs CAP_NET_ADMIN over it%s", ns.Name(), r.Caller.hint())
		return unreadable
	case err != nil:
		r.problem("%s", err)
		return unreadable
	}
	return NewTable(ns.Name(), entries)
}

// confirm looks a second time if connections lack an entry: a table that changes while it is read may skip one, and a
// connection may have ended between the two readings.
func (r *reading) confirm(ns *topology.Namespace) error {
	if r.Table.State != TableRead {
		return nil
	}
	lacks := func(s socket.Socket) bool { return s.State == socket.Established && len(r.Table.find(s)) == 0 }
	if !slices.ContainsFunc(r.Sockets, lacks) {
		return nil
	}
	first := *r
	if err := r.readSockets(ns); err != nil {
		return err
	}
	r.problems = first.problems
	again := r.readEntries(ns, first.Table.Entries)
	if again.State != TableRead {
		r.Sockets, r.Now = first.Sockets, first.Now
		return nil
	}
	again.Established, again.FinWait, again.CloseWait = first.Table.Established, first.Table.FinWait, first.Table.CloseWait
	again.Strict = first.Table.Strict
	r.Table, r.Sockets = again, lasting(first.Sockets, r.Sockets, again)
	return nil
}

// number reads a sysctl of a namespace. Equivalent: `sysctl -n KEY`.
func number(ns *topology.Namespace, key string) (int, error) {
	text, err := ns.Sysctl(key)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("sysctl %s in %s: %q, want a number", key, ns.Name(), text)
	}
	return n, nil
}
