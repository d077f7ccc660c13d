package replay

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/scenario"
)

// use is one use step under way.
type use struct {
	run    *run
	step   *scenario.Use
	text   string // of the step
	began  time.Time
	give   time.Time
	active []*flow
	// lost is when the first connection was seen to be lost; again is true once the line was typed a second time.
	lost  time.Time
	again bool
}

// do waits until each connection was answered or is lost; after a loss, until the program has a new one or has ended.
func (u *use) do(ctx context.Context) error {
	defer func() { u.run.idleSince = time.Now() }()
	if u.step.Input != "" {
		if err := u.run.tellClient(u.step.Input); err != nil {
			return err
		}
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		over := u.run.client.Exit() != nil
		known, err := u.known()
		if err != nil {
			return err
		}
		if known || over || time.Now().After(u.give) {
			break
		}
		u.run.tell(u.text, time.Until(u.give))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-u.run.client.Done():
		case <-time.After(pause):
		}
	}
	if err := u.run.drain(); err != nil {
		return err
	}
	u.run.adopt()
	return u.conclude()
}

// known tells whether there is nothing more to wait for.
func (u *use) known() (bool, error) {
	open, err := u.run.clientSockets()
	if err != nil {
		return false, err
	}
	lost, waiting := 0, 0
	for _, f := range u.active {
		switch s, ok := open[f.address()]; {
		case f.done:
		case !ok || s.State != socket.Established:
			lost++
		case !u.answered(s) || !idle(s, u.run.quiet):
			waiting++ // an answer may come in parts, and the next break is for an idle connection again
		}
	}
	if lost == 0 || waiting > 0 {
		return waiting == 0, nil
	}
	if u.reconnected(open) {
		return true, nil
	}
	return false, u.tryAgain()
}

// answered tells whether the peer has said anything since the step began, an acknowledgement for instance. Before it
// began nothing had come for longer than the allowance for the kernel's clock tick.
func (u *use) answered(s socket.Socket) bool {
	return s.Info != nil && s.Info.Unacked == 0 && s.Info.LastAckReceived < time.Since(u.began)+tick
}

// tick is more than the precision of the times in struct tcp_info, 10 ms with HZ=100, and less than quietAtLeast.
const tick = 20 * time.Millisecond

// reconnected tells whether the program has a connection that it did not have before.
func (u *use) reconnected(open map[netip.AddrPort]socket.Socket) bool {
	for _, f := range u.active {
		delete(open, f.address())
	}
	for _, s := range open {
		if s.State == socket.Established && s.Info != nil && s.Info.Unacked == 0 {
			return true
		}
	}
	return false
}

// tryAgain types the line once more, as a person would who was told that the connection is lost, if the program has
// not got a new connection by itself.
func (u *use) tryAgain() error {
	if u.lost.IsZero() {
		u.lost = time.Now()
	}
	if u.again || u.step.Input == "" || time.Since(u.lost) < u.run.quiet {
		return nil
	}
	u.again = true
	u.run.note(u.run.ev.ClientAt, "again", fmt.Sprintf("type %q once more: the connection is lost", u.step.Input))
	return u.run.tellClient(u.step.Input)
}

// conclude marks the connections that nothing more can become of, and says if a connection was not used at all.
func (u *use) conclude() error {
	open, err := u.run.clientSockets()
	if err != nil {
		return err
	}
	for _, f := range u.active {
		s, ok := open[f.address()]
		switch {
		case f.done:
		case !ok || s.State != socket.Established || !u.answered(s) && s.Info != nil && s.Info.Unacked > 0:
			f.done = true
		case !u.answered(s) && u.run.ev.Kept == "":
			u.run.unmet("the client's program did not use its connection within " + u.step.AtMost.String())
			f.done = true
		case u.run.ev.Kept != "":
			f.done = true
		}
	}
	return nil
}
