package evidence

import (
	"net/netip"
	"strconv"

	"github.com/ctsim/ctsim/probe/packet"
)

// protocolName is an IP protocol as people call it: TCP, UDP, ICMP; its number if it is another.
func protocolName(p uint8) string {
	switch p {
	case packet.TCP:
		return "TCP"
	case packet.UDP:
		return "UDP"
	case packet.ICMP:
		return "ICMP"
	}
	return strconv.Itoa(int(p))
}

// endpoint is ip:port, or the address alone where there is no port.
func endpoint(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}
