package packet

import "net/netip"

// Relative is a segment's place in its stream. The zero value is of a packet that Flows has not seen or that is not
// TCP.
type Relative struct {
	Known    bool
	Seq, Ack uint32 // bytes since the stream's start; the SYN is 0, the first byte of data 1
	Repeat   Repeat // whether the hop has seen it before
}

// Repeat says whether a segment carries something new.
type Repeat uint8

// The kinds of segments.
const (
	Fresh          Repeat = iota
	Retransmission        // all its bytes, SYN or FIN have been seen at this hop before
	KeepAlive             // an empty segment one byte behind: a keepalive, or a probe of a closed window
)

// String is "", "retransmission" or "keep-alive".
func (r Repeat) String() string {
	switch r {
	case Retransmission:
		return "retransmission"
	case KeepAlive:
		return "keep-alive"
	default:
		return ""
	}
}

// Flows turns the sequence numbers of TCP streams into ones that count from the stream's start, so that the same run
// prints the same numbers again. The zero value is ready. It is not safe for concurrent use.
//
// It differs from tcpdump in two ways. A SYN is 0 (Wireshark's choice) instead of the number on the wire. And a hop
// that joins in the middle of a stream, the server that a connection is sent to by mistake, counts from the SYN that
// the client sent at another hop: destination translation leaves sequence numbers alone, so one segment has one number
// wherever it is seen. Where no such SYN was seen the first byte seen is 1.
type Flows struct {
	streams  map[streamKey]*stream
	openings map[netip.AddrPort]opening
}

// streamKey is one direction of a connection at one hop.
type streamKey struct {
	at, iface string
	src, dst  netip.AddrPort
}

func (k streamKey) reverse() streamKey { return streamKey{k.at, k.iface, k.dst, k.src} }

// stream is what is known of one direction at one hop.
type stream struct {
	start uint32 // the sequence number of the SYN
	next  uint32 // one past the highest sequence number seen
	seen  bool   // next is valid
}

// opening is what a client endpoint's last handshake showed at whatever hop.
type opening struct {
	client    uint32 // sequence number of its SYN
	server    uint32 // and of the SYN,ACK
	hasServer bool
}

// reach is how far from its SYN a segment may be to be counted from a SYN seen at another hop. More than that is
// taken for another connection of the same client port.
const reach = 1 << 28

// Follow fills in Relative. The packets of all hops must be given in the order of time (Sort); packets that are not
// TCP come back as they are.
func (f *Flows) Follow(p Packet) Packet {
	if p.Protocol != TCP || p.Src.Port() == 0 {
		return p
	}
	if f.streams == nil {
		f.streams = map[streamKey]*stream{}
		f.openings = map[netip.AddrPort]opening{}
	}
	key := streamKey{p.At, p.Interface, p.Src, p.Dst}
	if p.Flags.Has(SYN) {
		f.open(key, p)
	}
	s := f.stream(key, p, p.Seq)
	p.Relative.Known = true
	if s != nil {
		p.Relative.Seq = p.Seq - s.start
		p.Relative.Repeat = s.advance(p)
	}
	if p.Flags.Has(ACK) {
		if r := f.stream(key.reverse(), p, p.Ack); r != nil {
			p.Relative.Ack = p.Ack - r.start
		}
	}
	return p
}

// open notes the start of a stream. A SYN that is not a repetition starts a new connection on the same ports.
func (f *Flows) open(key streamKey, p Packet) {
	if s := f.streams[key]; s == nil || s.start != p.Seq {
		f.streams[key] = &stream{start: p.Seq}
		if !p.Flags.Has(ACK) {
			delete(f.streams, key.reverse())
		}
	}
	if !p.Flags.Has(ACK) {
		if o, ok := f.openings[p.Src]; !ok || o.client != p.Seq {
			f.openings[p.Src] = opening{client: p.Seq}
		}
		return
	}
	if o, ok := f.openings[p.Dst]; ok && o.client+1 == p.Ack {
		o.server, o.hasServer = p.Seq, true
		f.openings[p.Dst] = o
	}
}

// stream finds one direction of p's connection, in which number has just been seen as a sequence or acknowledgement
// number. It is nil when only a RST was seen of it, whose numbers may be made up.
func (f *Flows) stream(key streamKey, p Packet, number uint32) *stream {
	if s := f.streams[key]; s != nil {
		return s
	}
	start, ok := f.startElsewhere(key, number)
	if !ok {
		if p.Flags.Has(RST) {
			return nil
		}
		start = number - 1
	}
	s := &stream{start: start}
	f.streams[key] = s
	return s
}

// startElsewhere looks for the start of a stream in the handshake that its client made, seen at whatever hop.
func (f *Flows) startElsewhere(key streamKey, number uint32) (uint32, bool) {
	if o, ok := f.openings[key.src]; ok && number-o.client < reach {
		return o.client, true
	}
	if o, ok := f.openings[key.dst]; ok && o.hasServer && number-o.server < reach {
		return o.server, true
	}
	return 0, false
}

// advance moves next past the segment and says whether it brought anything new.
func (s *stream) advance(p Packet) Repeat {
	size := uint32(p.Payload)
	for _, flag := range []TCPFlags{SYN, FIN} {
		if p.Flags.Has(flag) {
			size++
		}
	}
	end := p.Seq + size
	switch {
	case p.Flags.Has(RST):
		return Fresh // its number is the peer's ACK or 0, it moves nothing
	case !s.seen:
		s.next, s.seen = end, true
	case size == 0 && p.Seq == s.next-1:
		return KeepAlive
	case size > 0 && int32(end-s.next) <= 0:
		return Retransmission
	case int32(end-s.next) > 0:
		s.next = end
	}
	return Fresh
}
