package rulepath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// ErrMatch is in the chain of the errors about a [Match] that cannot be.
var ErrMatch = errors.New("packets cannot be matched like this")

// Match chooses packets to trace. What is left zero matches any; an [netip.AddrPort] may have a port without an address
// and the other way round. The addresses are those the packet comes with, before the node translates anything: what
// a client sends has the service's address as Dst, what a server answers its own as Src.
type Match struct {
	// Protocol is the IP protocol number; 0 is TCP.
	Protocol uint8
	Src, Dst netip.AddrPort
	// New leaves out packets of connections that conntrack knows: what remains begins one or is invalid. Such a trace
	// begins after conntrack, so that the raw table is not in it. Without it a connection's every packet is traced,
	// some ten messages each.
	New bool
}

// chains are those that mark packets: before the raw table, or as soon as conntrack has looked at the packet.
var chains = []struct {
	name     string
	hook     uint32
	priority int32
	afterCT  bool
}{
	{"prerouting", hookPreroute, priorityRaw - 1, false},
	{"output", hookOutput, priorityRaw - 1, false},
	{"prerouting-new", hookPreroute, priorityTrack + 1, true},
	{"output-new", hookOutput, priorityTrack + 1, true},
}

// createTable is `nft add table ip NAME` with the chains of it.
func createTable(name string, flags uint32) []order {
	orders := []order{{msgNewTable, flagCreate, join(text(tableName, name), number(tableFlags, flags))}}
	for _, c := range chains {
		orders = append(orders, order{msgNewChain, flagCreate, join(
			text(chainTable, name),
			text(chainName, c.name),
			nested(chainHook, number(hookNumber, c.hook), number(hookPriority, uint32(c.priority))),
			number(chainPolicy, policyAccept),
			text(chainType, "filter"),
		)})
	}
	return orders
}

// deleteTable is `nft delete table ip NAME`.
func deleteTable(name string) []order { return []order{{msgDelTable, 0, text(tableName, name)}} }

// replaceRules is `nft flush table ip NAME` and a rule for each match in the two chains it belongs to.
func replaceRules(name string, matches []Match) ([]order, error) {
	orders := []order{{msgDelRule, 0, text(ruleTable, name)}}
	for _, m := range matches {
		expressions, err := m.expressions()
		if err != nil {
			return nil, err
		}
		for _, c := range chains {
			if c.afterCT != m.New {
				continue
			}
			orders = append(orders, order{msgNewRule, flagCreate | flagAppend, join(
				text(ruleTable, name), text(ruleChain, c.name), nested(ruleExpressions, expressions...))})
		}
	}
	return orders, nil
}

// expressions is `ip protocol P ip saddr S ip daddr D th sport … th dport … ct state new meta nftrace set 1`, as far as
// the match has them.
func (m Match) expressions() ([][]byte, error) {
	protocol := m.Protocol
	if protocol == 0 {
		protocol = protocolTCP
	}
	hasPorts := protocol == protocolTCP || protocol == protocolUDP || protocol == protocolSCTP
	e := payloadIs(payloadNetwork, 9, []byte{protocol})
	for _, end := range []struct {
		name           string
		is             netip.AddrPort
		addrAt, portAt uint32
	}{{"source", m.Src, 12, 0}, {"destination", m.Dst, 16, 2}} {
		if a := end.is.Addr(); a.IsValid() {
			if !a.Unmap().Is4() {
				return nil, fmt.Errorf("%w: %s %s is not IPv4", ErrMatch, end.name, a)
			}
			e = append(e, payloadIs(payloadNetwork, end.addrAt, a.Unmap().AsSlice())...)
		}
		if p := end.is.Port(); p != 0 {
			if !hasPorts {
				return nil, fmt.Errorf("%w: %s port %d: IP protocol %d has no ports", ErrMatch, end.name, p, protocol)
			}
			e = append(e, payloadIs(payloadTransport, end.portAt, binary.BigEndian.AppendUint16(nil, p))...)
		}
	}
	if m.New {
		e = append(e, notEstablished()...)
	}
	return append(e,
		expression("immediate", number(immediateDreg, register1), data(immediateData, []byte{1})),
		expression("meta", number(metaKey, metaKeyNFTrace), number(metaSreg, register1)),
	), nil
}

// payloadIs compares a field of a header.
func payloadIs(base, offset uint32, value []byte) [][]byte {
	return [][]byte{
		expression("payload", number(payloadDreg, register1), number(payloadBase, base),
			number(payloadOffset, offset), number(payloadLen, uint32(len(value)))),
		expression("cmp", number(cmpSreg, register1), number(cmpOp, cmpEqual), data(cmpData, value)),
	}
}

// notEstablished is `ct state & (established | related | untracked) == 0`.
func notEstablished() [][]byte {
	mask := binary.NativeEndian.AppendUint32(nil, ctStateEstablished|ctStateRelated|ctStateUntracked)
	zero := make([]byte, 4)
	return [][]byte{
		expression("ct", number(ctDreg, register1), number(ctKey, ctKeyState)),
		expression("bitwise", number(bitwiseSreg, register1), number(bitwiseDreg, register1),
			number(bitwiseLen, 4), data(bitwiseMask, mask), data(bitwiseXor, zero)),
		expression("cmp", number(cmpSreg, register1), number(cmpOp, cmpEqual), data(cmpData, zero)),
	}
}

// expression is one list element of NFTA_RULE_EXPRESSIONS.
func expression(name string, attributes ...[]byte) []byte {
	return nested(listElem, text(exprName, name), nested(exprData, attributes...))
}

func data(kind uint16, value []byte) []byte { return nested(kind, attribute(dataValue, value)) }
