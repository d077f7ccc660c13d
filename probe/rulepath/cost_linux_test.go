package rulepath

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/ctsim/ctsim/iptables"
	"github.com/ctsim/ctsim/topology"
)

// TestKernelDescriptors counts them before and after.
func TestKernelDescriptors(t *testing.T) {
	w := newWorld(t)
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		check(t, err)
		return len(entries)
	}
	before := count()
	watcher, err := Watch(w.master)
	check(t, err)
	check(t, watcher.Close())
	// A flag that no kernel knows, as NFT_TABLE_F_OWNER is for one before 5.12: the table is made without.
	watcher, err = watch(w.master, listenBuffer, 1<<31)
	check(t, err)
	check(t, watcher.Close())
	closed, err := topology.NewNamespace("closed")
	check(t, err)
	check(t, closed.Close())
	if _, err := Watch(closed); !errors.Is(err, topology.ErrClosed) {
		t.Error(err)
	}
	if err := Available(closed); !errors.Is(err, topology.ErrClosed) {
		t.Error(err)
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// BenchmarkKernelRoundTrip is ten bytes to the server and back, with and without the trace of what goes there.
func BenchmarkKernelRoundTrip(b *testing.B) {
	w := newWorld(b)
	w.install(b, iptables.NFT, backends...)
	run := func(name string, before, after func()) {
		b.Run(name, func(b *testing.B) {
			c := w.dial(b, "client", serviceAddr)
			check(b, c.SetDeadline(time.Now().Add(time.Minute)))
			buf := make([]byte, 10)
			before()
			for b.Loop() {
				_, err := c.Write(buf)
				check(b, err)
				_, err = io.ReadFull(c, buf)
				check(b, err)
			}
			after()
		})
	}
	run("unwatched", func() {}, func() {})
	watcher := w.watch(b)
	run("watched", func() {}, func() {})
	run("traced", func() { check(b, watcher.Trace(toService)) }, func() {
		_, err := watcher.Paths()
		check(b, err)
	})
	if n := watcher.Lost(); n != 0 {
		b.Logf("lost %d", n)
	}
}

// BenchmarkKernelWatch is what a run pays: begin, learn, choose, take, end.
func BenchmarkKernelWatch(b *testing.B) {
	w := newWorld(b)
	w.install(b, iptables.NFT, backends...)
	save, err := w.rules.Save()
	check(b, err)
	for b.Loop() {
		watcher, err := Watch(w.master)
		check(b, err)
		check(b, watcher.Learn(save))
		check(b, watcher.Trace(toService))
		_, err = watcher.Paths()
		check(b, err)
		check(b, watcher.Close())
	}
}
