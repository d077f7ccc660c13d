package conntrack

import "net/netip"

// The world of the kernel tests and the recordings is one namespace with a service address on its loopback:
//
//	client 127.0.0.1 ── DNAT in OUTPUT ──▶ service 127.0.0.100:2222
//	                                        ├─ backend 127.0.0.2:2222
//	                                        └─ backend 127.0.0.3:2222
var (
	clientAddr  = netip.MustParseAddr("127.0.0.1")
	serviceAddr = netip.MustParseAddrPort("127.0.0.100:2222")
	backends    = []netip.AddrPort{
		netip.MustParseAddrPort("127.0.0.2:2222"), netip.MustParseAddrPort("127.0.0.3:2222"),
	}
)
