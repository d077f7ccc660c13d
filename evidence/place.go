package evidence

// Place is a namespace of the world.
type Place struct {
	Name string `json:"name"`
	// Kind is pod, node or machine: one outside the cluster.
	Kind string `json:"kind"`
	// Role is client or server if such a program runs there; empty otherwise.
	Role string `json:"role,omitempty"`
	// Address is its IPv4 address.
	Address string `json:"address"`
	// Node is the one that a pod hangs on; empty for the others.
	Node string `json:"node,omitempty"`
}
