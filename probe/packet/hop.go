package packet

// Hop is a place where packets are seen: an interface of a pod or node.
type Hop struct {
	At        string // the pod or node
	Interface string // its interface, "eth0"
	Packets   int    // handed over
	Dropped   int    // lost because the receive queue was full (tp_drops of PACKET_STATISTICS)
}
