package replay

import (
	"context"
	"slices"
	"time"

	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// untilSeen waits until every connection has had a packet like this since the step began.
func (r *run) untilSeen(ctx context.Context, s *scenario.Wait, text string, active []*flow) error {
	give := time.Now().Add(s.AtMost)
	r.mu.Lock()
	from := len(r.ev.Packets)
	r.mu.Unlock()
	for {
		if err := r.drain(); err != nil {
			return err
		}
		if r.haveSeen(*s.Packet, from, active) {
			return nil
		}
		if time.Now().After(give) {
			r.unmet("no such packet within " + s.AtMost.String())
			return nil
		}
		if err := r.pause(ctx, 2*time.Millisecond, text); err != nil {
			return err
		}
	}
}

// haveSeen looks through the packets from a number on. What repeats another can be told only by one who has followed
// the stream from its beginning.
func (r *run) haveSeen(x scenario.PacketCheck, from int, active []*flow) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	late := map[int]bool{}
	var flows packet.Flows
	for i, p := range r.ev.Packets {
		p = flows.Follow(p)
		id := r.index.Packet(&p)
		if i < from || id == 0 || id > len(r.flows) || late[id] {
			continue
		}
		account := &account.Account{}
		for _, a := range r.picksOf(r.flows[id-1]) {
			account.Backends = append(account.Backends, r.ev.PodName(a))
		}
		late[id] = verdict.MatchesPacket(x, &r.ev, account, &p)
	}
	return !slices.ContainsFunc(active, func(f *flow) bool { return f.address().IsValid() && !late[f.id] })
}
