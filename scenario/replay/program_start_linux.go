package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/probe/program"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
)

// externalProgram is a program that ctsim has not written, in the place of the client or of a server.
type externalProgram struct {
	*program.Program
	side peer.Side
}

// programs are those of the run that ctsim has not written.
type programs struct {
	*world
	// client is nil until it is started; the servers are in no order, under mu.
	client   *externalProgram
	external []*externalProgram
	// quiet is how long a connection of the client's program that counts as idle is without traffic, idleSince when it last
	// became so.
	quiet     time.Duration
	idleSince time.Time
}

// started are all of them, the client first and the servers by number.
func (x *programs) started() []*externalProgram {
	x.mu.Lock()
	out := slices.Clone(x.external)
	x.mu.Unlock()
	if x.client != nil {
		out = append(out, x.client)
	}
	slices.SortFunc(out, func(a, b *externalProgram) int {
		return cmp.Or(cmp.Compare(a.side, b.side), x.serverNumber(a.Name())-x.serverNumber(b.Name()))
	})
	return out
}

// startProgram starts the program of one side in a pod or on a node.
func (x *programs) startProgram(side peer.Side, end scenario.End) (*externalProgram, error) {
	var hosts []program.Host
	for _, h := range x.plan.Names {
		hosts = append(hosts, program.Host{Address: h.Address, Names: h.Names})
	}
	started, err := program.Start(x.lab.Namespace(end.At), program.Spec{Name: end.At, Command: end.Program.Command,
		User: end.Program.User, Env: end.Program.Env, Hosts: hosts,
		Output: func(l program.Line) { x.printed(side, end.At, l) }})
	if err != nil {
		return nil, &build.Unsupported{What: fmt.Sprintf("the %s's program did not start", side), Err: err}
	}
	return &externalProgram{started, side}, nil
}

// serveExternal starts the server's program in every pod, side by side, and waits until all listen.
func (x *programs) serveExternal(ctx context.Context) error {
	errs := make([]error, len(x.plan.Servers))
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() { errs[i] = x.serveExternalOn(ctx, x.plan.Servers[i]) })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err // the programs are all the same: saying it once is enough
		}
	}
	return nil
}

func (x *programs) serveExternalOn(ctx context.Context, end scenario.End) error {
	port := x.plan.Service.Port
	p, err := x.startProgram(peer.Server, end)
	if err != nil {
		return err
	}
	x.mu.Lock()
	x.external = append(x.external, p)
	x.mu.Unlock()
	return hinted(p.Await(ctx, x.lab.Namespace(end.At), end.Program.Ready, fmt.Sprintf("it listened on port %d", port), program.Listens(port)),
		fmt.Sprintf("the server has to listen on port $PORT (%d) of all addresses and to stay in the foreground", port))
}

// hinted turns a program's end into an error with a hint.
func hinted(err error, hint string) error {
	var ended *program.Ended
	if errors.As(err, &ended) {
		if ended.Exit != nil && (ended.Exit.Code == 126 || ended.Exit.Code == 127) {
			hint = "the program starts in a HOME of its own; write the whole path of a command, or $OLDPWD/command"
		}
		return &build.Unsupported{What: "a program did not do what it is here for", Hint: hint, Err: err}
	}
	return err
}

// startClient starts the client's program.
func (x *programs) startClient() (err error) {
	x.client, err = x.startProgram(peer.Client, x.plan.Client)
	return err
}

// tellClient writes a line to the client's program.
func (x *programs) tellClient(line string) error {
	err := x.client.Type(line)
	if err != nil && x.client.Exit() != nil {
		return nil // it has ended, which is a fact about the client and not a failure of the run
	}
	return err
}

// programAt is the program in a pod or on a node, nil if there is none.
func (x *programs) programAt(place string) *externalProgram {
	all := x.started()
	if i := slices.IndexFunc(all, func(p *externalProgram) bool { return p.Name() == place }); i >= 0 {
		return all[i]
	}
	return nil
}

// stopPrograms ends them side by side and notes how each ended.
func (x *programs) stopPrograms() {
	all := x.started()
	exits := make([]program.Exit, len(all))
	var wait sync.WaitGroup
	for i, p := range all {
		wait.Go(func() { exits[i] = p.Program.Stop() })
	}
	wait.Wait()
	for i, p := range all {
		x.ev.Programs = append(x.ev.Programs, evidence.Ran{Side: p.side, At: p.Name(), Command: p.Command(), Exit: exits[i]})
	}
}
