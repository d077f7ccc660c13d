package rulepath

import "errors"

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
// and gives an error that matches ErrMalformed; those around it are read.
func decode(datagram []byte) (messages []message, err error) {
	var failed error
	err = eachMessage(datagram, func(h header, payload []byte) error {
		if !h.is(msgTrace) {
			return nil
		}
		m, err := decodeMessage(payload)
		if err != nil {
			failed = errors.Join(failed, err)
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
	err := eachAttribute(payload, func(attr uint16, v []byte) (err error) {
		switch attr {
		case traceTable:
			return readName(v, &m.hop.Table)
		case traceChain:
			return readName(v, &m.hop.Chain)
		case traceRuleHandle:
			return read64(v, &m.hop.Handle)
		case traceType:
			return read32(v, &kind)
		case traceVerdict:
			m.hop.Verdict, err = decodeVerdict(v)
			return err
		case tracePolicy:
			err = read32(v, &policy)
			m.hop.Verdict = verdictName(int32(policy), "")
			return err
		case traceID:
			return read32(v, &m.id)
		case traceMark:
			return read32(v, &m.hop.Mark)
		}
		return m.decodeContext(attr, v)
	})
	m.hop.Kind = Kind(kind)
	return m, err
}

// decodeContext reads the attributes that tell of the packet.
func (m *message) decodeContext(attr uint16, v []byte) error {
	switch attr {
	case traceNetworkHeader:
		m.hasPacket = true
		return m.packet.decodeNetwork(v)
	case traceTransportHeader:
		m.packet.decodeTransport(v)
	case traceIIF:
		return read32(v, &m.in)
	case traceOIF:
		return read32(v, &m.out)
	case traceCTID:
		return read32(v, &m.tracking.ID)
	case traceCTStatus:
		return read32(v, &m.tracking.Status)
	case traceCTDirection:
		var direction uint8
		err := read8(v, &direction)
		m.tracking.Reply = direction != 0
		return err
	case traceCTState:
		var bits uint32
		err := read32(v, &bits)
		m.tracking.State = trackingState(bits)
		return err
	}
	return nil
}
