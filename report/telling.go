package report

import (
	"slices"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/scenario/result"
)

// telling are the observations that tell what became of one connection: what was done, the conntrack events of the node
// that translates, what the applications got, a RST wherever its addresses change on the way, the rules that a packet
// met which has no entry or is thrown away, what the kernel did, and a socket whose state or timer has changed. Those
// that belong to no connection are told with every one.
func telling(r *result.Result, id int) []evidence.Observation {
	c := newChoice(r, id)
	var out []evidence.Observation
	for _, o := range r.Timeline {
		if c.takes(o) {
			out = append(out, o)
		}
	}
	return out
}

// choice goes through the timeline and takes what tells.
type choice struct {
	r  *result.Result
	id int
	// anyNode is true if no event is of a translating entry: what the other nodes saw is then all there is. Otherwise node
	// is the one that translates, and lost is true if it has lost an entry; if not, what the others have lost counts.
	anyNode, lost bool
	node          string
	// broken is true from the first loss of the entry on: a NEW is then a second one.
	broken  bool
	lastRST string
	sockets map[string]string
	// probed is true of a place that a keepalive probe has come to, which the kernel answers and throws away; dropped of
	// one where a drop was told: what is dropped again, is dropped for the same reason.
	probed, dropped map[string]bool
}

func newChoice(r *result.Result, id int) *choice {
	c := &choice{r: r, id: id, anyNode: true, sockets: map[string]string{}, probed: map[string]bool{}, dropped: map[string]bool{}}
	for _, o := range r.Timeline {
		if c.translated(o) {
			c.node, c.anyNode = o.At, false
			c.lost = c.lost || o.Kind == "DESTROY" && (o.Connection == 0 || o.Connection == id)
		}
	}
	return c
}

// translated tells whether an observation is of an entry for the service's address.
func (c *choice) translated(o evidence.Observation) bool {
	return o.Entry != nil && (address(o.Entry.Original.Dst) == c.r.Service.Address || address(o.Entry.Reply.Dst) == c.r.Service.Address)
}

func (c *choice) takes(o evidence.Observation) bool {
	application := o.Source == "client" || o.Source == "server"
	if o.Connection != 0 && o.Connection != c.id { // with few, what their applications got shows what the sentence on each says
		return application && len(c.r.Connections) <= fewConnections
	}
	switch o.Source {
	case "conntrack":
		return c.event(o)
	case "kernel":
		return c.kernel(o)
	case "rule":
		return c.path(o)
	case "socket":
		was := c.sockets[o.At]
		c.sockets[o.At] = socketKind(o)
		return socketChanged(was, o)
	case "packet":
		return o.Packet != nil && c.packet(o, o.Packet)
	}
	return application || o.Source == "step"
}

func (c *choice) event(o evidence.Observation) bool {
	breaks := o.Kind == "DESTROY" && (c.anyNode || c.translated(o) || !c.lost)
	takes := c.anyNode || c.translated(o) || breaks || c.broken && (o.At == c.node || !c.lost)
	c.broken = c.broken || breaks
	return takes
}

func (c *choice) kernel(o evidence.Observation) bool {
	drop := o.Kind == "kfree_skb"
	if drop && (c.probed[o.At] || c.dropped[o.At+" kernel"]) {
		return false
	}
	c.dropped[o.At+" kernel"] = c.dropped[o.At+" kernel"] || drop
	return true
}

func (c *choice) path(o evidence.Observation) bool {
	if o.Kind == "DROP" && !c.dropped[o.At+" rule"] {
		c.dropped[o.At+" rule"] = true
		return true
	}
	return c.broken && o.Kind == "NEW" && o.Path != nil && address(o.Path.Dst) == c.r.Service.Address
}

func (c *choice) packet(o evidence.Observation, p *evidence.PacketFacts) bool {
	takes := p.Repeat != "" && p.Direction == "out" && sentBy(c.r, o.At)
	if way := p.Src + " > " + p.Dst; o.Kind == "RST" && way != c.lastRST {
		c.lastRST, takes = way, true
	}
	if p.Direction == "in" {
		c.probed[o.At] = p.Repeat == packet.KeepAlive.String()
	}
	return takes
}

// sentBy tells whether packets begin or end in a place: a node only passes them on, unless the client runs there.
func sentBy(r *result.Result, at string) bool {
	return slices.ContainsFunc(r.World, func(p evidence.Place) bool { return p.Name == at && p.Role != "" })
}

// socketKind is what has to change for a socket to be worth a line: its state and the kind of timer that runs.
func socketKind(o evidence.Observation) string {
	if o.Socket == nil {
		return o.Kind
	}
	return o.Socket.State + " " + o.Socket.TimerKind
}

func socketChanged(was string, o evidence.Observation) bool {
	is := socketKind(o)
	return is != was && (was != "" || is != "ESTABLISHED off") // the state of every connection that does nothing
}
