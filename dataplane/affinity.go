package dataplane

import "net/netip"

// Affinity is that a node remembers which endpoint a client went to (sessionAffinity: ClientIP). It is no conntrack
// entry, and outlives them.
type Affinity struct {
	// List is what the mode calls the endpoint's place, its chain in iptables mode.
	List   string
	Client netip.Addr
	// Stamp is when the client was last seen, on a clock of the kernel's own: the same stamp is the same packet.
	Stamp uint64
}

// AffinityKeeper is a [Node] whose affinities can be read and forgotten one by one.
type AffinityKeeper interface {
	// Affinities are all that the node remembers, those that are out of date too.
	Affinities() ([]Affinity, error)
	// Forget takes one of them out. The error matches os.ErrPermission in a user namespace that is not the machine's own:
	// the kernel lets only the machine's root write there.
	Forget(Affinity) error
}
