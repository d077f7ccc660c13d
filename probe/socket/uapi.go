package socket

// Numbers of include/uapi/linux/{sock_diag,inet_diag,tcp}.h. They are here, not from x/sys, so that decoding
// builds everywhere.
const (
	diagByFamily   = 20 // SOCK_DIAG_BY_FAMILY
	diagTCP        = 18 // TCPDIAG_GETSOCK
	protocolTCP    = 6
	allStates      = ^uint32(0)
	noCookie       = ^uint32(0) // INET_DIAG_NOCOOKIE
	familyIPv4     = 2
	familyIPv6     = 10
	diagInfo       = 2    // INET_DIAG_INFO
	diagMessageLen = 0x48 // struct inet_diag_msg

	// The part of struct tcp_info that every kernel since 2.6.10 has, and where the counters of 4.1 to 4.19 end, and that of 5.4 is.
	infoLen       = 104
	infoBytesLen  = 136
	infoNotSentAt = 144
	infoSentAt    = 200
	infoLongLen   = 216
	infoWindowAt  = 228
)
