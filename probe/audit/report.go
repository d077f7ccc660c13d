package audit

import (
	"net/netip"
	"time"
)

// SchemaVersion grows when a field of Report changes its meaning or goes.
const SchemaVersion = 1

// Report is one look at the machine. Its JSON is described in docs/audit.md. All times are in seconds.
type Report struct {
	Schema int       `json:"schema"`
	Time   time.Time `json:"time"`
	Kernel string    `json:"kernel"`
	// Namespaces are those that were asked for, the current one first, then by name.
	Namespaces []Namespace `json:"namespaces"`
	Summary    Summary     `json:"summary"`
	// Missing says what the caller may not see, and what would show it.
	Missing []string `json:"missing"`
}

// Summary counts connections by verdict.
type Summary struct {
	Connections int `json:"connections"`
	Risk        int `json:"risk"`
	Unknown     int `json:"unknown"`
	OK          int `json:"ok"`
	// Unread is the namespaces of which nothing could be seen.
	Unread int `json:"unread"`
	// Unseen is, of a look at all namespaces, the processes whose namespace could not even be found out, 1 if the caller
	// is not shown how many there are. Of a look at one process it is 1 if its sockets are not all known.
	Unseen int `json:"unseen"`
}

// Namespace is one network namespace and its connections.
type Namespace struct {
	Name  string `json:"name"`
	Inode uint64 `json:"inode"`
	// Path is where it can be entered: `nsenter --net=PATH`.
	Path string `json:"path"`
	// Pod is the UID of the Kubernetes pod, from the cgroup of its processes; empty if there is none.
	Pod string `json:"pod,omitempty"`
	// Current is the namespace that ctsim was started in.
	Current bool `json:"current"`
	// Processes is how many of the processes that the caller may look into are in it.
	Processes int `json:"processes"`
	// KeepaliveTimeS is net.ipv4.tcp_keepalive_time, 0 if not known.
	KeepaliveTimeS float64      `json:"keepalive_time_s"`
	Conntrack      TableFacts   `json:"conntrack"`
	Summary        Summary      `json:"summary"`
	Connections    []Connection `json:"connections"`
	// Near are the names of the namespaces that its veth pairs lead to, of a pod's the node; Unseen are devices behind
	// which there is one that was not read.
	Near   []string `json:"near"`
	Unseen []string `json:"unseen"`
	// Problems say what could not be read of this namespace, and why.
	Problems []string `json:"problems"`
}

// TableFacts is a namespace's conntrack table.
type TableFacts struct {
	State   TableState `json:"state"`
	Entries int        `json:"entries"`
	// EstablishedS is nf_conntrack_tcp_timeout_established, 0 if not known.
	EstablishedS float64 `json:"established_s"`
}

// Connection is one side of a TCP connection, and what would become of it.
type Connection struct {
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`
	State  string         `json:"state"`
	// Process is null if nobody the caller may look into has the socket.
	Process *Process `json:"process"`
	UID     uint32   `json:"uid"`
	Timer   Timer    `json:"timer"`
	// IdleS is how long ago data was last sent or received; null if the kernel did not tell.
	IdleS     *float64  `json:"idle_s"`
	Keepalive Keepalive `json:"keepalive"`
	// Entries are the conntrack entries of the connection, from the namespace's own table and its node's.
	Entries []Entry `json:"entries"`
	Verdict Verdict `json:"verdict"`
	Reason  Reason  `json:"reason"`
	// LeftS is the time until the entry that goes first is gone; null if that is not known. Estimated says that it was
	// reckoned from the timeout and the time idle, because the table could not be read.
	LeftS     *float64 `json:"left_s"`
	Estimated bool     `json:"estimated"`
	// Why and Cure are for people. Cure is empty where nothing needs one.
	Why  string `json:"why"`
	Cure string `json:"cure,omitempty"`
	// Command would tell what is not known, to be typed in a shell; empty where nothing would.
	Command string `json:"command,omitempty"`
}

// Process has a socket open.
type Process struct {
	PID int `json:"pid"`
	// Name is its command name, at most 15 bytes of any kind: /proc/PID/comm.
	Name string `json:"name"`
	// Others is how many more processes have the same socket open.
	Others int `json:"others"`
}

// Timer is the socket's next timer, as netstat has it.
type Timer struct {
	Kind        string  `json:"kind"`
	ExpiresS    float64 `json:"expires_s"`
	Retransmits int     `json:"retransmits"`
	Probes      int     `json:"probes"`
	// Netstat is all of it as `netstat --timers` prints it.
	Netstat string `json:"netstat"`
}

// Keepalive is what is known of the socket's keepalive.
type Keepalive struct {
	// On is null if another timer hides it.
	On *bool `json:"on"`
	// IdleS is the time of silence before the first probe (TCP_KEEPIDLE or tcp_keepalive_time); null if it could not be
	// read. Own says that the application set it.
	IdleS *float64 `json:"idle_s"`
	Own   bool     `json:"own"`
	// EarliestS and LatestS are between when the next probe is sent if the connection stays silent; null if never or
	// not known.
	EarliestS *float64 `json:"earliest_s"`
	LatestS   *float64 `json:"latest_s"`
}

// Entry is a conntrack entry of a connection.
type Entry struct {
	// Table is the name of the namespace whose table it is in.
	Table    string `json:"table"`
	Original Tuple  `json:"original"`
	Reply    Tuple  `json:"reply"`
	State    string `json:"state"`
	Assured  bool   `json:"assured"`
	// LeftS is its time left; null in a flow table.
	LeftS *float64 `json:"left_s"`
	// Backend is where a client's packets really go; Service is the address that a server's client really called, and
	// Client who that is. Empty if not translated.
	Backend string `json:"backend,omitempty"`
	Service string `json:"service,omitempty"`
	Client  string `json:"client,omitempty"`
	// Source is what a client's packets carry as their source after masquerading. Empty if not translated.
	Source string `json:"source,omitempty"`
}

// Tuple is one direction of an entry.
type Tuple struct {
	Src netip.AddrPort `json:"src"`
	Dst netip.AddrPort `json:"dst"`
}

// add counts a verdict.
func (s *Summary) add(v Verdict) {
	s.Connections++
	switch v {
	case Risk:
		s.Risk++
	case OK:
		s.OK++
	default:
		s.Unknown++
	}
}

// plus adds the counts of another summary.
func (s *Summary) plus(o Summary) {
	s.Connections += o.Connections
	s.Risk += o.Risk
	s.Unknown += o.Unknown
	s.OK += o.OK
	s.Unread += o.Unread
	s.Unseen += o.Unseen
}
