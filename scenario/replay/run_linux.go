package replay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ctsim/ctsim/dataplane/modes"
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
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
	// since is when it began: its port may be one that an earlier connection had.
	since time.Time
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

// world is where a run takes place, and who watches it: what the parts of a run have in common.
type world struct {
	plan     *scenario.Plan
	options  Options
	lab      *topology.Lab
	watchers []watcher
	// readers look at sockets, by node and pod.
	readers map[string]*socket.Reader
	// flows are the connections by number, from 1 on.
	flows    []*flow
	progress Progress
	recorder
}

// run is a scenario under way.
type run struct {
	*world
	watching
	proxies
	programs
	servers []server
	phases  []evidence.Phase
	pausing pausing
	// aged is how old the affinities are meant to be that a step has aged.
	aged map[affinityKey]affinityAge
}

// Run replays a plan in a world of its own while everything is watched, and gives the evidence; whether it is what the
// scenario expects is for others to say. When ctx ends, the run ends at once with what it has seen: the evidence is that
// of an interrupted run. The error is *build.Unsupported if this machine or user cannot run it. Whatever happens, nothing is
// left behind.
//
// It needs CAP_SYS_ADMIN and CAP_NET_ADMIN in the current user namespace.
func Run(ctx context.Context, p *scenario.Plan, o Options) (*evidence.Evidence, error) {
	if err := roomFor(p); err != nil {
		return nil, err
	}
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
	w := &world{plan: p, options: o, recorder: newRecorder(about(p), o.Observe), readers: map[string]*socket.Reader{}}
	r := &run{world: w, watching: watching{world: w}, proxies: newProxies(w, mode), programs: programs{world: w}, aged: map[affinityKey]affinityAge{}}
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
	err = errors.Join(build.AsUnsupported(err), r.phase("teardown", func() error { return r.close() }))
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
	r.lab, err = build.Up(ctx, build.Topology(r.plan))
	return err
}

func (r *run) serve(ctx context.Context) error {
	if r.plan.ExternalServer() {
		r.tell(fmt.Sprintf("wait until the servers listen on port %d", r.plan.Service.Port), 0)
		return errors.Join(r.serveExternal(ctx), r.joinKernel())
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
	if err := r.ageAffinities(0); err != nil {
		return err
	}
	r.note("step", s.Name, s.InThisRun())
	if err := errors.Join(r.take(ctx, s, active), r.lacked()); err != nil {
		return err
	}
	if s.Name != "repeat" { // its own steps have looked
		r.sample()
	}
	return nil
}

// finish lets every watcher deliver what it holds, and notes the state of both ends of every connection.
func (r *run) finish(ctx context.Context) error {
	r.awaitAcks(ctx)
	if err := errors.Join(r.collect(), r.drain()); err != nil {
		return err
	}
	r.adopt()
	r.ev.Connections = len(r.flows)
	var g errgroup.Group
	g.Go(r.count)
	g.Go(r.readEnds)
	return errors.Join(r.notePaths(), g.Wait())
}

// close lets go of everything; the namespaces go with the last socket in them. The watchers end first: how ctsim
// itself closes the sockets is no fact about the run.
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

// service is what the client connects to.
func (w *world) service() netip.AddrPort { return w.plan.Target }

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
func (w *world) pause(ctx context.Context, d time.Duration, text string) error {
	end := time.Now().Add(d)
	for {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		w.tell(text, left)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(left, 100*time.Millisecond)):
		}
	}
}

// tell says what the run waits for, and for how long at most; 0 if that is not known.
func (w *world) tell(text string, left time.Duration) {
	if w.options.Progress != nil {
		p := w.progress
		p.Text, p.Left = text, left
		w.options.Progress(p)
	}
}
