package lab

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/ctsim/ctsim/kube"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
	"github.com/ctsim/ctsim/topology"
)

// DefaultName is the lab's name if none is given.
const DefaultName = "default"

// recordFormat grows when a Record of an older ctsim cannot be read any more.
const recordFormat = 1

// Record is what a lab is made of and where it can be found: plain data, kept in a file from `lab up` to `lab down`.
type Record struct {
	Format int `json:"format"`
	// ID is the mark of all that belongs to the lab: 32 hexadecimal digits, never used twice.
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	// Boot is the machine's boot id: namespaces do not outlive it, files may.
	Boot string `json:"boot"`
	// Complete is true once the lab is up; until then Builder is at work.
	Complete bool    `json:"complete"`
	Builder  Process `json:"builder"`
	// Holder is the process that keeps an ordinary user's lab; nil for root's.
	Holder *Process `json:"holder,omitempty"`
	// NamesDir is the folder with the namespaces' names, as the holder sees it. Namespaces are their inodes.
	NamesDir   string            `json:"namesDir"`
	Namespaces map[string]uint64 `json:"namespaces"`

	// Scenario is whose world it is; its steps are left out.
	Scenario  string         `json:"scenario"`
	TimeScale int            `json:"timeScale"`
	World     scenario.World `json:"world"`
	// Backends is how many server pods there have ever been: the next one's number.
	Backends int `json:"backends"`
	// Blueprint is the world as it stands now; its Service has the endpoints of the moment.
	Blueprint Blueprint `json:"blueprint"`
	Flavour   string    `json:"flavour"`
}

// Process is a process that cannot be mistaken for a later one with the same number.
type Process struct {
	PID int `json:"pid"`
	// Start is when it was started, in clock ticks since the machine was (field 22 of /proc/PID/stat).
	Start uint64 `json:"start"`
}

// Blueprint is the world of a lab as it stands: it begins as a scenario's plan, and pods and endpoints come and go.
type Blueprint struct {
	// Topology is the pods, nodes and links.
	Topology topology.Plan
	// Proxy is how kube-proxy is set on every node.
	Proxy kube.ProxyConfig
	// Service is the Service with its endpoints.
	Service kube.Service
	// Client is the namespace the client runs in, Target what it connects to: the service's virtual address, or from
	// outside the cluster its node port.
	Client string
	Target netip.AddrPort
}

// NewRecord is a lab that does not stand yet: the world of a scenario in a size, under a name. Its steps make no
// difference. The error is that of Scenario.WorldPlan.
func NewRecord(name string, s scenario.Scenario, size scenario.Size, flavour string) (*Record, error) {
	plan, err := s.WorldPlan(size)
	if err != nil {
		return nil, err
	}
	if size.Nodes != 0 {
		s.World.Nodes = size.Nodes
	}
	b := Blueprint{Topology: build.Topology(plan), Proxy: plan.Proxy, Service: plan.Service, Client: plan.Client.At, Target: plan.Target}
	for i := range b.Topology.Nodes {
		// The default of 2 gives an entry the means to report only if somebody listened when it was made. Here somebody
		// may begin to listen at any time.
		n := &b.Topology.Nodes[i]
		n.Sysctls = append(slices.Clone(n.Sysctls), topology.Sysctl{Key: "net.netfilter.nf_conntrack_events", Value: "1"})
	}
	return &Record{Format: recordFormat, ID: newID(), Name: name, Created: time.Now().Round(0), Scenario: s.Name,
		TimeScale: s.TimeScale, World: s.World, Backends: len(plan.Servers), Blueprint: b, Flavour: flavour,
		Namespaces: map[string]uint64{}}, nil
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$`)

// CheckName says what is wrong with a lab's name; nil if nothing is.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("want up to 30 lower case letters, digits and hyphens, the first and last no hyphen")
	}
	return nil
}

// NamespaceName is what `ip netns` calls a pod or node of the lab: ctsim-client in the lab named default, and
// ctsim-LAB-client in any other.
func (r *Record) NamespaceName(pod string) string {
	if r.Name == DefaultName {
		return "ctsim-" + pod
	}
	return "ctsim-" + r.Name + "-" + pod
}

// path is the file that stands for a namespace.
func (r *Record) path(pod string) string { return filepath.Join(r.NamesDir, r.NamespaceName(pod)) }

// mark is the note on the loopback interface of each namespace.
func (r *Record) mark() string { return markPrefix + r.ID + " " + r.Name }

const markPrefix = "ctsim lab "

// Places are the pods, nodes and hosts of the lab, in the order they were made; not the switch between the nodes, in
// which there is nothing to do.
func (r *Record) Places() []string {
	return slices.DeleteFunc(r.Blueprint.Topology.Names(), func(n string) bool { return n == topology.SwitchName })
}

// Nodes are the names of the nodes, the client's first.
func (r *Record) Nodes() []string {
	var names []string
	for _, n := range r.Blueprint.Topology.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// Backend is a server pod.
type Backend struct {
	Pod     string     `json:"pod"`
	Address netip.Addr `json:"address"`
	Node    string     `json:"node"`
	// Endpoint tells whether the service leads to it.
	Endpoint bool `json:"endpoint"`
}

// Servers are the lab's server pods, by number.
func (r *Record) Servers() []Backend {
	var all []Backend
	for _, n := range r.Blueprint.Topology.Nodes {
		for _, p := range n.Pods {
			if serverNumber(p.Name) == 0 {
				continue // a client
			}
			all = append(all, Backend{Pod: p.Name, Address: p.Address, Node: n.Name,
				Endpoint: slices.Contains(r.Blueprint.Service.Endpoints, r.endpoint(p.Address))})
		}
	}
	slices.SortFunc(all, func(a, b Backend) int { return serverNumber(a.Pod) - serverNumber(b.Pod) })
	return all
}

func serverNumber(pod string) (n int) {
	_, _ = fmt.Sscanf(pod, "server-%d", &n)
	return n
}

func (r *Record) endpoint(a netip.Addr) netip.AddrPort {
	return netip.AddrPortFrom(a, r.Blueprint.Service.Port)
}

// Place is the name of the pod, node or host that has an address; empty if none has.
func (r *Record) Place(a netip.Addr) string {
	for _, n := range r.Blueprint.Topology.Nodes {
		if n.Address == a {
			return n.Name
		}
		for _, p := range n.Pods {
			if p.Address == a {
				return p.Name
			}
		}
	}
	for _, h := range r.Blueprint.Topology.Hosts {
		if h.Address == a {
			return h.Name
		}
	}
	return ""
}

// ServiceText is the service in one line, "default/myservice 10.108.33.37:2222/TCP".
func (r *Record) ServiceText() string { return scenario.ServiceText(r.Blueprint.Service) }
