package account

import (
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/internal/fault"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

// udp is the outcome of a UDP connection: each message is on its own, so that the last one tells what has become of it.
// What was lost or refused before is on the balance.
func (j *judge) udp() Outcome {
	b := j.d
	last := j.lastTry()
	switch {
	case last == nil || !last.Time.After(j.fault):
		b.decide("", ItemUse)
		return Unknown
	case last.Err != nil:
		b.decide("client", ItemError, ItemICMP, ItemMessages)
		if o := outcomeOf(peer.Errno(last.Err), true); o != Reset {
			return o
		}
		return Unknown
	}
	got := j.received(last)
	switch {
	case got == nil && j.refused(last):
		b.decide("client", ItemSocket, ItemICMP, ItemMessages)
		return Refused
	case got == nil && fault.Is("datagram-loss-ignored"):
		b.decide("client", ItemMessages)
		return Survived
	case got == nil:
		b.decide("client", ItemMessages)
		return Hang
	case !j.e.IsPod(got.At):
		b.decide("client", ItemMessages)
		return WrongBackend
	case !j.answered(got) && !j.knows(evidence.FromPackets), !j.knows(evidence.FromConntrack):
		b.decide("", ItemUnseen)
		return Unknown
	case !j.answered(got):
		b.decide("server", ItemMessages)
		return Hang
	}
	b.decide("", ItemMessages, ItemUse)
	return Survived
}

// lastTry is the client's last send, successful or not; nil if there was none.
func (j *judge) lastTry() *peer.Report {
	var last *peer.Report
	for _, r := range j.a.reports {
		if r.Side == peer.Client && r.Call == peer.Send {
			last = r
		}
	}
	return last
}

// received is the arrival of a message at a server: the number that it carries is that of its send. Nil if none shows it.
func (j *judge) received(send *peer.Report) *peer.Report {
	number := 0
	for _, r := range j.a.reports {
		if r.Side == peer.Client && r.Call == peer.Send {
			number++
		}
		if r == send {
			break
		}
	}
	for _, r := range j.arrivals() {
		if _, n, ok := peer.ParseMessage(r.Data); ok && n == number {
			return r
		}
	}
	return nil
}

// refused tells whether the client's kernel was told, after a send, that nobody takes it.
func (j *judge) refused(send *peer.Report) bool {
	if j.client.last != nil && j.client.last.Pending != nil {
		return outcomeOf(peer.Errno(j.client.last.Pending), true) == Refused
	}
	began := send.Began
	if began.IsZero() {
		began = send.Time
	}
	for _, p := range j.a.Packets {
		if p.At == j.client.at && p.Direction == packet.In && p.Protocol == packet.ICMP && p.Error.Protocol == packet.UDP &&
			p.Error.Type == 3 && p.Error.Code == 3 && !p.Time.Before(began) {
			return true
		}
	}
	return false
}

// answered tells whether anything came back to the client once a message had arrived.
func (j *judge) answered(got *peer.Report) bool {
	return j.client.got != nil && j.client.got.Time.After(got.Time)
}
