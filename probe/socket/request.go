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

// request asks for one TCP socket with its tcp_info: struct inet_diag_req_v2.
type request struct {
	family        uint8
	local, remote netip.AddrPort
}

// dumpRequest is the message that asks for all TCP sockets, of both address families: struct inet_diag_req of
// TCPDIAG_GETSOCK, older than SOCK_DIAG_BY_FAMILY, which would go through the whole hash table of the machine, most of the
// work, once for each family.
func dumpRequest(sequence uint32) []byte {
	b := header(diagTCP, flagRequest|flagDump, sequence)
	b = append(b, 0, 0, 0, 1<<(diagInfo-1)) // any family, no addresses
	b = append(b, make([]byte, 48)...)      // struct inet_diag_sockid
	b = binary.NativeEndian.AppendUint32(b, allStates)
	b = binary.NativeEndian.AppendUint32(b, 0) // idiag_dbs
	return finished(b)
}

// header is struct nlmsghdr, whose length is put in by finished.
func header(kind, flags uint16, sequence uint32) []byte {
	b := make([]byte, nlmsg.HeaderLen, nlmsg.HeaderLen+60)
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], sequence)
	return b
}

func finished(b []byte) []byte {
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

// oneRequest asks for the socket with these addresses.
func oneRequest(local, remote netip.AddrPort) (request, error) {
	if !local.Addr().IsValid() || local.Addr().Is4() != remote.Addr().Is4() || !remote.Addr().IsValid() {
		return request{}, fmt.Errorf("%s and %s: addresses of one family are needed", local, remote)
	}
	r := request{family: familyIPv4, local: local, remote: remote}
	if !local.Addr().Is4() {
		r.family = familyIPv6
	}
	return r, nil
}

func (r request) bytes(sequence uint32) []byte {
	b := header(diagByFamily, flagRequest, sequence)
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
	b = binary.NativeEndian.AppendUint32(b, noCookie)
	b = binary.NativeEndian.AppendUint32(b, noCookie)
	return finished(b)
}
