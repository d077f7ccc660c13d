package rulepath

// Numbers of include/uapi/linux/{netlink,netfilter}.h and include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h.
const (
	flagRequest  = 0x1
	flagAck      = 0x4
	flagDumpIntr = 0x10
	flagDump     = 0x300
	flagCreate   = 0x400
	flagAppend   = 0x800

	msgBatchBegin = 0x10
	msgBatchEnd   = 0x11

	familyIPv4     = 2  // NFPROTO_IPV4
	subsysNFTables = 10 // NFNL_SUBSYS_NFTABLES
	groupTrace     = 9  // NFNLGRP_NFTRACE

	// enum nf_tables_msg_types
	msgNewTable = 0
	msgDelTable = 2
	msgNewChain = 3
	msgGetChain = 4
	msgNewRule  = 6
	msgGetRule  = 7
	msgDelRule  = 8
	msgTrace    = 17

	// enum nft_table_attributes
	tableName  = 1
	tableFlags = 2
	tableOwner = 0x2 // NFT_TABLE_F_OWNER: the table goes with the socket that made it

	// enum nft_chain_attributes, nft_hook_attributes
	chainTable    = 1
	chainName     = 3
	chainHook     = 4
	chainPolicy   = 5
	chainType     = 7
	hookNumber    = 1
	hookPriority  = 2
	hookPreroute  = 0
	hookOutput    = 3
	policyAccept  = 1
	priorityRaw   = -300 // NF_IP_PRI_RAW
	priorityTrack = -200 // NF_IP_PRI_CONNTRACK

	// enum nft_rule_attributes, nft_list_attributes, nft_expr_attributes
	ruleTable       = 1
	ruleChain       = 2
	ruleHandle      = 3
	ruleExpressions = 4
	listElem        = 1
	exprName        = 1
	exprData        = 2

	// The expressions of a Match.
	register1          = 1 // NFT_REG_1
	dataValue          = 1 // NFTA_DATA_VALUE
	payloadDreg        = 1
	payloadBase        = 2
	payloadOffset      = 3
	payloadLen         = 4
	payloadNetwork     = 1 // NFT_PAYLOAD_NETWORK_HEADER
	payloadTransport   = 2 // NFT_PAYLOAD_TRANSPORT_HEADER
	cmpSreg            = 1
	cmpOp              = 2
	cmpData            = 3
	cmpEqual           = 0
	cmpNotEqual        = 1
	ctDreg             = 1
	ctKey              = 2
	ctKeyState         = 0 // NFT_CT_STATE
	bitwiseSreg        = 1
	bitwiseDreg        = 2
	bitwiseLen         = 3
	bitwiseMask        = 4
	bitwiseXor         = 5
	immediateDreg      = 1
	immediateData      = 2
	metaKey            = 2
	metaSreg           = 3
	metaKeyNFTrace     = 12 // NFT_META_NFTRACE
	ctStateNew         = 0x8
	ctStateUntracked   = 0x40
	ctStateEstablished = 0x2
	ctStateRelated     = 0x4

	// enum nft_trace_attributes
	traceTable           = 1
	traceChain           = 2
	traceRuleHandle      = 3
	traceType            = 4
	traceVerdict         = 5
	traceID              = 6
	traceNetworkHeader   = 8
	traceTransportHeader = 9
	traceIIF             = 10
	traceOIF             = 12
	traceMark            = 14
	tracePolicy          = 16
	traceCTID            = 18
	traceCTDirection     = 19
	traceCTStatus        = 20
	traceCTState         = 21

	// enum nft_verdict_attributes
	verdictCode  = 1
	verdictChain = 2
)
