package rulepath

import (
	"errors"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

// message is one NFT_MSG_TRACE.
type message struct {
	hop Hop
	id  uint32
	// packet and the interfaces are in the first message of each built-in chain.
	hasPacket bool
	packet    Packet
	in, out   uint32
	tracking  Tracking
}

// decode reads the trace messages of a datagram and leaves others out. A message that makes no sense is left out too,
// and gives an error that matches nlmsg.ErrMalformed; those around it are read.
func decode(datagram []byte) (messages []message, err error) {
	var failed error
	err = nlmsg.Each(datagram, func(h nlmsg.Header, payload []byte) error {
		if h.Type != subsysNFTables<<8|msgTrace {
			return nil
		}
		m, malformed := decodeMessage(payload)
		if malformed != nil {
			failed = errors.Join(failed, malformed)
			return nil
		}
		messages = append(messages, m)
		return nil
	})
	return messages, errors.Join(failed, err)
}

func decodeMessage(payload []byte) (message, error) {
	var m message
	var kind, policy uint32
	err := nlmsg.EachNetfilter(payload, func(a nlmsg.Attribute) (err error) {
		switch a.Type {
		case traceTable:
			m.hop.Table = a.Text()
		case traceChain:
			m.hop.Chain = a.Text()
		case traceRuleHandle:
			return a.Uint64(&m.hop.Handle)
		case traceType:
			return a.Uint32(&kind)
		case traceVerdict:
			m.hop.Verdict, err = decodeVerdict(a.Value)
			return err
		case tracePolicy:
			err = a.Uint32(&policy)
			m.hop.Verdict = verdictName(int32(policy), "")
			return err
		case traceID:
			return a.Uint32(&m.id)
		case traceMark:
			return a.Uint32(&m.hop.Mark)
		default:
			return m.decodeContext(a)
		}
		return nil
	})
	m.hop.Kind = Kind(kind)
	return m, err
}

// decodeContext reads the attributes that tell of the packet.
func (m *message) decodeContext(a nlmsg.Attribute) error {
	switch a.Type {
	case traceNetworkHeader:
		m.hasPacket = true
		return m.packet.decodeNetwork(a.Value)
	case traceTransportHeader:
		m.packet.decodeTransport(a.Value)
	case traceIIF:
		return a.Uint32(&m.in)
	case traceOIF:
		return a.Uint32(&m.out)
	case traceCTID:
		return a.Uint32(&m.tracking.ID)
	case traceCTStatus:
		return a.Uint32(&m.tracking.Status)
	case traceCTDirection:
		var direction uint8
		err := a.Uint8(&direction)
		m.tracking.Reply = direction != 0
		return err
	case traceCTState:
		var bits uint32
		err := a.Uint32(&bits)
		m.tracking.State = trackingState(bits)
		return err
	}
	return nil
}
