package conntrack

import (
	"testing"
	"time"

	"github.com/ctsim/ctsim/probe/nlgroup"
)

// BenchmarkKernelFlush is a flush of 100,000 entries while somebody listens: how long the flush takes, how long until
// every DESTROY has been received, decoded and handled, and how many are missing. It does so with Decode and with the
// reading of ti-mo/conntrack. Run it with -benchtime 5x.
func BenchmarkKernelFlush(b *testing.B) {
	b.Run("ours", func(b *testing.B) { benchmarkFlush(b, Decode) })
	b.Run("ti-mo", func(b *testing.B) {
		benchmarkFlush(b, func(datagram []byte) ([]Event, error) {
			messages, err := timoMessages(datagram)
			if err != nil {
				return nil, err
			}
			e, err := readByTimo(messages[0])
			return []Event{e}, err
		})
	})
}

func benchmarkFlush(b *testing.B, decode func(datagram []byte) ([]Event, error)) {
	const entries = 100_000
	ns := newWorld(b)
	destroyed := 0
	l, err := nlgroup.Join(ns, eventGroups(listenBuffer), func(datagram []byte) error {
		events, err := decode(datagram)
		for _, e := range events {
			if e.Type == Destroy {
				destroyed++
			}
		}
		return err
	})
	check(b, err)
	var flushed, handled time.Duration
	for b.Loop() {
		b.StopTimer()
		check(b, Create(ns, manyEntries(entries)...))
		check(b, l.Drain())
		b.StartTimer()
		start := time.Now()
		_, err := Flush(ns)
		check(b, err)
		flushed += time.Since(start)
		check(b, l.Drain())
		handled += time.Since(start)
	}
	check(b, l.Close())
	b.ReportMetric(flushed.Seconds()*1000/float64(b.N), "ms-flush/op")
	b.ReportMetric(handled.Seconds()*1000/float64(b.N), "ms-handled/op")
	b.ReportMetric(float64(b.N*entries-destroyed), "missing")
	b.ReportMetric(float64(l.Lost()), "lost")
}

// BenchmarkKernelList is a dump of 10,000 entries.
func BenchmarkKernelList(b *testing.B) {
	ns := newWorld(b)
	check(b, Create(ns, manyEntries(10_000)...))
	for b.Loop() {
		_, err := List(ns)
		check(b, err)
	}
}
