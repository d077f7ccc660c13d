package replay

import (
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"

	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/dataplane/modes"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/rulepath"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

// flow is one connection while the run lasts.
type flow struct {
	id   int
	conn *peer.Conn
	// tried is true once connect was called.
	tried bool
	// local is the client's address of a connection that a program of the user's own has opened, and done is true once
	// nothing more can become of it.
	local netip.AddrPort
	done  bool
	// sent counts messages, from either side; speaker is the end that sent the last one.
	sent    int
	speaker *peer.Conn
}

// server is a pod's program: *peer.Listener or *peer.Datagrams.
type server interface {
	Conn(id int) *peer.Conn
	Stop() error
	Close() error
}

// run is a scenario under way. Its evidence is written by watchers' goroutines too, under mu.
type run struct {
	plan     *scenario.Plan
	mode     dataplane.Mode
	options  Options
	lab      *topology.Lab
	rules    map[string]dataplane.Node
	watchers []watcher
	capture  *packet.Capture
	kernel   *kernelWatcher
	// tracers follow packets through the rules, readers look at sockets, by node and pod.
	tracers map[string]*rulepath.Watcher
	readers map[string]*socket.Reader
	// savedBefore is iptables-save -c of each node before the first break.
	savedBefore map[string]string
	servers     []server
	// client is the client's program if it is not ctsim's own, begun the SYN of the last connection from each of its
	// addresses, quiet how long a connection that counts as idle is without traffic, idleSince when it last became so.
	client    *foreignProgram
	begun     map[netip.AddrPort]uint32
	quiet     time.Duration
	idleSince time.Time
	flows     []*flow
	// endpoints are the service's at the moment.
	endpoints []netip.AddrPort
	phases    []evidence.Phase
	progress  Progress
	pausing   pausing

	mu sync.Mutex
	ev evidence.Evidence
	// over is true once nothing more is evidence.
	over bool
	// received is the number of the last message that arrived at a server, by connection; picks the backends that the
	// entries of a client socket led to.
	received map[int]int
	picks    map[netip.AddrPort][]netip.Addr
	// index is for live observations, which cannot wait until all is known.
	index evidence.Index
	// streams are those of live observations: what these say of packets counts from the beginning of their streams.
	streams packet.Flows
}

// Run replays a plan in a world of its own while everything is watched, and gives the evidence; whether it is what the
// scenario expects is for others to say. When ctx ends, the run ends at once with what it has seen: the evidence is that
// of an interrupted run. The error is *Unsupported if this machine or user cannot run it. Whatever happens, nothing is
// left behind.
//
// It needs CAP_SYS_ADMIN and CAP_NET_ADMIN in the current user namespace.
func Run(ctx context.Context, p *scenario.Plan, o Options) (*evidence.Evidence, error) {
	r, err := newRun(p, o)
	if err != nil {
		return nil, err
	}
	return r.do(ctx)
}

// newRun is a run in which nothing has happened yet.
func newRun(p *scenario.Plan, o Options) (*run, error) {
	mode, err := modes.Find(p.Mode, o.Flavour)
	if err != nil {
		return nil, err
	}
	r := &run{plan: p, mode: mode, options: o, rules: map[string]dataplane.Node{}, received: map[int]int{},
		begun: map[netip.AddrPort]uint32{},
		picks: map[netip.AddrPort][]netip.Addr{}, index: evidence.Index{},
		tracers: map[string]*rulepath.Watcher{}, readers: map[string]*socket.Reader{}}
	// Round takes the monotonic reading off: the kernel's times have none, and all must be counted on one clock.
	r.ev = evidence.Evidence{Started: time.Now().Round(0), World: about(p), Ours: map[uint32]bool{}, Deleted: map[uint32]bool{}, Unwatched: map[evidence.Source]bool{}, Rules: map[string][]dataplane.Counter{}, Lost: map[string]int{}}
	r.endpoints = slices.Clone(p.Service.Endpoints)
	for i := range p.Connections {
		r.flows = append(r.flows, &flow{id: i + 1})
	}
	return r, nil
}

// do performs the run.
func (r *run) do(ctx context.Context) (*evidence.Evidence, error) {
	err := r.perform(ctx)
	if ctx.Err() != nil {
		r.ev.Interrupted, err = true, nil
	}
	err = errors.Join(build.Unsupportable(err), r.phase("teardown", func() error { return r.close() }))
	if err != nil {
		return nil, err
	}
	return r.complete(), nil
}

// perform builds the world, takes the steps and notes what is left at the end.
func (r *run) perform(ctx context.Context) error {
	r.startKernel()
	phases := []struct {
		name string
		do   func(context.Context) error
	}{{"topology", r.build}, {"watch", r.watch}, {"rules", r.install}, {"servers", r.serve}, {"steps", r.steps}, {"settle", r.finish}}
	for _, p := range phases {
		if err := r.phase(p.name, func() error { return p.do(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) phase(name string, do func() error) error {
	start := time.Now()
	err := do()
	r.phases = append(r.phases, evidence.Phase{Name: name, Seconds: time.Since(start).Seconds()})
	return err
}

func (r *run) build(ctx context.Context) (err error) {
	r.lab, err = build.Build(ctx, build.Topology(r.plan))
	return err
}

// install puts kube-proxy's rules into both nodes at the same time.
func (r *run) install(context.Context) error {
	return r.onNodes(func(name string, rs dataplane.Rules) error {
		node, err := r.mode.Open(r.lab.Namespace(name))
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.rules[name] = node
		r.mu.Unlock()
		if err := node.Install(rs); err != nil {
			return err
		}
		return r.trace(name, rs)
	})
}

// sync changes the rules of both nodes to the endpoints of the moment, as kube-proxy does.
func (r *run) sync() error {
	return r.onNodes(func(name string, rs dataplane.Rules) error {
		if err := r.rules[name].Sync(rs); err != nil {
			return err
		}
		return r.learn(name, rs)
	})
}

func (r *run) onNodes(do func(node string, rs dataplane.Rules) error) error {
	svc := r.plan.Service
	svc.Endpoints = r.endpoints
	rs := r.mode.Rules(r.plan.Proxy, svc)
	names := r.plan.NodeNames()
	errs := make([]error, len(names))
	var wait sync.WaitGroup
	for i, name := range names {
		wait.Go(func() {
			if err := do(name, rs); err != nil {
				errs[i] = fmt.Errorf("rules on %s: %w", name, err)
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err // what ails one node ails the others: saying it once is enough
		}
	}
	return nil
}

func (r *run) serve(ctx context.Context) error {
	if r.plan.ExternalServer() {
		return errors.Join(r.serveForeign(ctx), r.joinKernel())
	}
	for _, s := range r.plan.Servers {
		if err := r.serveOn(s.At); err != nil {
			return err
		}
	}
	return r.joinKernel()
}

func (r *run) serveOn(pod string) error {
	address := netip.AddrPortFrom(netip.IPv4Unspecified(), r.plan.Service.Port)
	var l server
	var err error
	if r.plan.UDP() {
		l, err = peer.ServeDatagrams(r.lab.Namespace(pod), address, r.report)
	} else {
		l, err = peer.Serve(r.lab.Namespace(pod), address, socketOptions(r.plan.Servers[0].Socket), r.report)
	}
	if err != nil {
		return fmt.Errorf("server on %s: %w", pod, err)
	}
	r.servers = append(r.servers, l)
	return nil
}

func (r *run) steps(ctx context.Context) error {
	r.progress.Steps = len(r.plan.Steps)
	for i, s := range r.plan.Steps {
		r.progress.Step, r.pausing.number = i+1, []int{i + 1}
		if err := r.step(ctx, s, r.flows); err != nil {
			return fmt.Errorf("step %s: %w", s, err)
		}
	}
	if d := r.pausing.stopped; d > 0 {
		r.phases = append(r.phases, evidence.Phase{Name: "stopped", Seconds: d.Seconds()}) // a part of steps
	}
	return nil
}

func (r *run) step(ctx context.Context, s scenario.Step, active []*flow) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.before(ctx, s, active); errors.Is(err, ErrSkip) {
		return nil
	} else if err != nil {
		return err
	}
	r.tell(s.InThisRun(), 0)
	if s.Breaks() {
		if err := r.countBefore(); err != nil {
			return err
		}
	}
	r.note("step", s.Name, s.InThisRun())
	if err := r.take(ctx, s, active); err != nil {
		return err
	}
	if s.Name != "repeat" { // its own steps have looked
		r.look()
	}
	return nil
}

// finish lets every watcher deliver what it holds, and notes the state of both ends of every connection.
func (r *run) finish(context.Context) error {
	if err := r.drain(); err != nil {
		return err
	}
	r.lookForeign(true)
	r.ev.Connections = len(r.flows)
	if err := errors.Join(r.notePaths(), r.count()); err != nil {
		return err
	}
	for _, f := range r.flows {
		for _, c := range r.ends(f) {
			state, err := c.State()
			if err != nil {
				continue // closed by a step
			}
			timer := r.timer(c)
			r.mu.Lock()
			r.ev.Last = append(r.ev.Last, evidence.LastState{Flow: f.id, Side: f.sideOf(c), At: c.At(), SocketState: state, Timer: timer})
			r.mu.Unlock()
		}
	}
	return nil
}

// close lets go of everything; the namespaces go with the last socket in them. The watchers end first: how ctsim
// itself closes the sockets is no part of the story.
func (r *run) close() error {
	errs := []error{r.unwatch(), r.closeReaders()}
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	for _, f := range r.flows {
		if f.conn != nil {
			f.conn.Abandon()
		}
	}
	r.stopPrograms()
	for _, l := range r.servers {
		errs = append(errs, l.Close())
	}
	if r.lab != nil {
		errs = append(errs, r.lab.Close())
	}
	return errors.Join(errs...)
}

func (r *run) service() netip.AddrPort { return r.plan.Target }

// serverConn is the server's end of a connection: of the pods that have heard of it, the first.
func (r *run) serverConn(f *flow) *peer.Conn {
	for _, l := range r.servers {
		if c := l.Conn(f.id); c != nil {
			return c
		}
	}
	return nil
}

// end is one side's socket of a connection: "client" or "server"; nil if there is none.
func (r *run) end(f *flow, side string) *peer.Conn {
	if side == "server" {
		return r.serverConn(f)
	}
	return f.conn
}

// pause waits, telling how long is left.
func (r *run) pause(ctx context.Context, d time.Duration, text string) error {
	end := time.Now().Add(d)
	for {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		r.tell(text, left)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(left, 100*time.Millisecond)):
		}
	}
}

func (r *run) tell(text string, left time.Duration) {
	if r.options.Progress != nil {
		p := r.progress
		p.Text, p.Left = text, left
		r.options.Progress(p)
	}
}
