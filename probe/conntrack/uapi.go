package conntrack

// The kernel's numbers from include/uapi/linux/netlink.h, netfilter/nfnetlink.h and netfilter/nfnetlink_conntrack.h.
// They stand here, and are not taken from golang.org/x/sys/unix, so that decoding events compiles on any system.
// (github.com/ti-mo/conntrack exports none of them.)
const (
	subsysCtnetlink = 1 // NFNL_SUBSYS_CTNETLINK

	msgNew      = 0 // IPCTNL_MSG_CT_NEW
	msgDelete   = 2 // IPCTNL_MSG_CT_DELETE
	msgGetDying = 6 // IPCTNL_MSG_CT_GET_DYING

	flagExcl   = 0x200 // NLM_F_EXCL
	flagCreate = 0x400 // NLM_F_CREATE
)

// enum ctattr_type
const (
	ctaTupleOrig      = 1
	ctaTupleReply     = 2
	ctaStatus         = 3
	ctaProtoInfo      = 4
	ctaHelp           = 5
	ctaTimeout        = 7
	ctaMark           = 8
	ctaCountersOrig   = 9
	ctaCountersReply  = 10
	ctaUse            = 11
	ctaID             = 12
	ctaZone           = 18
	ctaSecCtx         = 19
	ctaTimestamp      = 20
	ctaTimestampEvent = 27 // Linux 6.14
)

// The nested attributes: enum ctattr_tuple, ctattr_ip, ctattr_l4proto, ctattr_protoinfo, ctattr_protoinfo_tcp,
// ctattr_counters, ctattr_help, ctattr_secctx, ctattr_tstamp.
const (
	ctaTupleIP    = 1
	ctaTupleProto = 2
	ctaTupleZone  = 3

	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	ctaProtoNum        = 1
	ctaProtoSrcPort    = 2
	ctaProtoDstPort    = 3
	ctaProtoICMPID     = 4
	ctaProtoICMPType   = 5
	ctaProtoICMPCode   = 6
	ctaProtoICMPv6ID   = 7
	ctaProtoICMPv6Type = 8
	ctaProtoICMPv6Code = 9

	ctaProtoInfoTCP               = 1
	ctaProtoInfoTCPState          = 1
	ctaProtoInfoTCPWScaleOriginal = 2
	ctaProtoInfoTCPWScaleReply    = 3
	ctaProtoInfoTCPFlagsOriginal  = 4
	ctaProtoInfoTCPFlagsReply     = 5

	ctaCountersPackets = 1
	ctaCountersBytes   = 2
	ctaCountersPad     = 5

	ctaHelpName   = 1
	ctaHelpInfo   = 2
	ctaSecCtxName = 1

	ctaTimestampStart = 1
	ctaTimestampStop  = 2
)
