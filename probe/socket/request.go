package socket

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

// Flags of struct nlmsghdr.
const (
	flagRequest = 0x1
	flagDump    = 0x300
)

// request is a message with struct inet_diag_req_v2 for TCP sockets, asking for tcp_info.
type request struct {
	kind, flags   uint16
	sequence      uint32
	family        uint8
	local, remote netip.AddrPort // the zero value in a dump: any
	cookie        uint64
}

// dumpRequest asks for all TCP sockets of a family.
func dumpRequest(family uint8) request {
	return request{kind: diagByFamily, flags: flagRequest | flagDump, family: family}
}

// oneRequest asks for the socket with these addresses.
func oneRequest(local, remote netip.AddrPort) (request, error) {
	if !local.Addr().IsValid() || local.Addr().Is4() != remote.Addr().Is4() || !remote.Addr().IsValid() {
		return request{}, fmt.Errorf("%s and %s: addresses of one family are needed", local, remote)
	}
	r := request{kind: diagByFamily, flags: flagRequest, family: familyIPv4, local: local, remote: remote, cookie: noCookie}
	if !local.Addr().Is4() {
		r.family = familyIPv6
	}
	return r, nil
}

func (r request) bytes() []byte {
	b := make([]byte, nlmsg.HeaderLen, nlmsg.HeaderLen+56)
	binary.NativeEndian.PutUint16(b[4:], r.kind)
	binary.NativeEndian.PutUint16(b[6:], r.flags)
	binary.NativeEndian.PutUint32(b[8:], r.sequence)
	b = append(b, r.family, protocolTCP, 1<<(diagInfo-1), 0)
	b = binary.NativeEndian.AppendUint32(b, allStates)
	b = binary.BigEndian.AppendUint16(b, r.local.Port())
	b = binary.BigEndian.AppendUint16(b, r.remote.Port())
	for _, a := range []netip.Addr{r.local.Addr(), r.remote.Addr()} {
		var field [16]byte
		copy(field[:], a.AsSlice())
		b = append(b, field[:]...)
	}
	b = binary.NativeEndian.AppendUint32(b, 0) // on any interface
	b = binary.NativeEndian.AppendUint32(b, uint32(r.cookie))
	b = binary.NativeEndian.AppendUint32(b, uint32(r.cookie>>32))
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}
