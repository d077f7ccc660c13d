package rulepath

import (
	"encoding/binary"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

// attribute is one struct nlattr with its padding.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(nlmsg.AttributeLen+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, nlmsg.Align(len(b))-len(b))...)
}

func nested(kind uint16, children ...[]byte) []byte {
	return attribute(kind|nlmsg.FlagNested, join(children...))
}

func text(kind uint16, s string) []byte { return attribute(kind, append([]byte(s), 0)) }

func number(kind uint16, v uint32) []byte {
	return attribute(kind, binary.BigEndian.AppendUint32(nil, v))
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// order is one message to nf_tables.
type order struct {
	kind, flags uint16
	body        []byte
}

// encode gives the message with its struct nlmsghdr and nfgenmsg for tables of the family ip.
func (o order) encode(sequence uint32) []byte {
	return frame(subsysNFTables<<8|o.kind, o.flags|flagRequest, familyIPv4, 0, sequence, o.body)
}

func frame(kind, flags uint16, family uint8, resource uint16, sequence uint32, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(nlmsg.HeaderLen+nlmsg.NetfilterLen+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, sequence)
	b = binary.NativeEndian.AppendUint32(b, 0) // port id: the kernel knows
	b = append(b, family, 0)                   // NFNETLINK_V0
	b = binary.BigEndian.AppendUint16(b, resource)
	return append(b, body...)
}

// encodeBatch makes one transaction: all orders take effect, or none. The first of its messages has the given sequence
// number, the first order the one after it. Each order asks for an acknowledgement.
func encodeBatch(orders []order, sequence uint32) []byte {
	b := frame(msgBatchBegin, flagRequest, 0, subsysNFTables, sequence, nil)
	for _, o := range orders {
		sequence++
		o.flags |= flagAck
		b = append(b, o.encode(sequence)...)
	}
	return append(b, frame(msgBatchEnd, flagRequest, 0, subsysNFTables, sequence+1, nil)...)
}
