package replay

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/scenario"
)

func (r *run) closeSocket(ctx context.Context, s *scenario.Close, active []*flow) error {
	for _, f := range active {
		conn := r.end(f, s.From)
		if conn == nil {
			continue
		}
		local, remote := conn.Local(), conn.Remote() // a closed socket has neither
		_ = conn.Close()                             // reported
		if err := r.settleClosed(ctx, conn.At(), local, remote); err != nil {
			return err
		}
	}
	return r.drain()
}

// settleClosed waits until the FIN of a socket that no program holds any more is acknowledged, or the kernel has sent it
// three times.
func (r *run) settleClosed(ctx context.Context, at string, local, remote netip.AddrPort) error {
	for start := time.Now(); ; {
		s, ok := r.socketOf(at, local, remote)
		switch {
		case r.lab.Namespace(at) == nil: // its pod is gone, and with it the link: nothing is sent again that counts
			return nil
		case time.Since(start) > settleLimit:
			r.unmet(fmt.Sprintf("%s after the close in %s its FIN is neither acknowledged nor sent again", settleLimit, at))
			return nil
		case !ok, s.Timer.Retransmits >= 2, s.State != socket.FinWait1 && s.State != socket.LastAck && s.State != socket.Closing:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

func (r *run) receive(_ context.Context, s *scenario.Receive, active []*flow) error {
	for _, f := range active {
		if f.conn != nil {
			_, _ = f.conn.Receive(scenario.MessageSize, time.Now().Add(s.AtMost)) // reported
		}
	}
	return r.drain()
}

func (r *run) deleteEntryOf(_ context.Context, s *scenario.DeleteEntry, _ []*flow) error {
	ns := r.lab.Namespace(s.On)
	entries, err := conntrack.List(ns)
	if err != nil {
		return fmt.Errorf("read the conntrack table of %s: %w", s.On, err)
	}
	for _, e := range entries {
		r.mu.Lock()
		mine := r.index.Of(time.Now(), e.Original.Src, e.Original.Dst, e.Reply.Src, e.Reply.Dst) == s.Connection
		r.mu.Unlock()
		if !mine {
			continue
		}
		if err := r.deleteEntry(ns, e); err != nil {
			return fmt.Errorf("delete %s on %s: %w", e.Original, s.On, err)
		}
	}
	return r.drain()
}
