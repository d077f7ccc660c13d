package replay

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/scenario"
)

func (r *run) inject(_ context.Context, s *scenario.Inject, active []*flow) error {
	for _, f := range active {
		server := r.serverConn(f)
		if server == nil || r.lab.Namespace(server.At()) == nil {
			continue // nobody there, or a pod that is gone and sends nothing any more
		}
		last, ok := r.lastFrom(server)
		if !ok {
			return fmt.Errorf("inject: no packet of connection %d has left %s yet", f.id, server.At())
		}
		stray := peer.Stray{Src: last.Src, Dst: last.Dst, Ack: last.Ack, RST: s.Flag == "RST",
			Seq: last.Seq + uint32(last.Payload) + uint32(int32(s.Offset))}
		if err := stray.Send(r.lab.Namespace(server.At())); err != nil {
			return err
		}
	}
	return r.drain()
}

// lastFrom is the last packet that a server's socket has sent, for its numbers; not a SYN, which counts one more.
func (r *run) lastFrom(server *peer.Conn) (packet.Packet, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, to := server.Local(), server.Remote()
	for _, p := range slices.Backward(r.ev.Packets) {
		if p.At == server.At() && p.Direction == packet.Out && p.Src == from && p.Dst == to && !p.Flags.Has(packet.SYN) {
			return p, true
		}
	}
	return packet.Packet{}, false
}

// serving is the address of the pod that the first connection was last translated to.
func (r *run) serving() (netip.Addr, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.flows) == 0 {
		return netip.Addr{}, false
	}
	picks := r.picksOf(r.flows[0])
	if len(picks) == 0 {
		return netip.Addr{}, false
	}
	return picks[len(picks)-1], true
}
