package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// Program is a program that runs, or has run, in a pod. Stop it to let go of it.
type Program struct {
	spec   Spec
	keeper *os.Process
	stdin  *os.File
	out    []*lines
	// gone is closed when the keeper was waited for.
	gone, done chan struct{}

	mu    sync.Mutex
	exit  *Exit
	asked bool
	kill  bool
}

// Start starts a program in a namespace and returns once it runs, which is before it has done anything. Its stdin stays
// open until it is stopped. It needs CAP_SYS_ADMIN in the current user namespace.
func Start(ns *topology.Namespace, s Spec) (*Program, error) {
	if s.Grace == 0 {
		s.Grace = DefaultGrace
	}
	p := &Program{spec: s, gone: make(chan struct{}), done: make(chan struct{})}
	if err := p.start(ns); err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", s.Command, s.Name, err)
	}
	return p, nil
}

// pipes are the ends of a program's pipes: ours, and the keeper's.
type pipes struct {
	ours, theirs struct{ stdin, stdout, stderr, order, status *os.File }
}

func (p *Program) start(ns *topology.Namespace) (err error) {
	var all []*os.File
	closeAll := func() {
		for _, f := range all {
			_ = f.Close()
		}
	}
	var pp pipes
	for _, pair := range []struct{ read, write **os.File }{
		{&pp.theirs.stdin, &pp.ours.stdin}, {&pp.ours.stdout, &pp.theirs.stdout}, {&pp.ours.stderr, &pp.theirs.stderr},
		{&pp.theirs.order, &pp.ours.order}, {&pp.ours.status, &pp.theirs.status},
	} {
		if *pair.read, *pair.write, err = os.Pipe(); err != nil {
			closeAll()
			return err
		}
		all = append(all, *pair.read, *pair.write)
	}
	started := make(chan error, 1)
	go p.live(ns, pp, started)
	if err := <-started; err != nil {
		closeAll()
		return err
	}
	for _, f := range []*os.File{pp.theirs.stdin, pp.theirs.stdout, pp.theirs.stderr, pp.theirs.order, pp.theirs.status} {
		_ = f.Close()
	}
	return p.attend(pp)
}

// live starts the keeper and waits for its end on one thread in the namespace: the kernel ends the keeper with the
// thread that started it.
func (p *Program) live(ns *topology.Namespace, pp pipes, started chan<- error) {
	defer close(p.gone)
	err := ns.Do(func() error {
		keeper := exec.Command("/proc/self/exe")
		keeper.Args = []string{keeperName}
		keeper.Stdin, keeper.Stdout, keeper.Stderr = pp.theirs.stdin, pp.theirs.stdout, pp.theirs.stderr
		keeper.ExtraFiles = []*os.File{pp.theirs.order, pp.theirs.status} // 3 and 4
		keeper.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
			// A session of its own: Ctrl-C is for ctsim, and a program that wants to ask for a password at the
			// terminal fails instead of stopping.
			Setsid:    true,
			Pdeathsig: unix.SIGKILL,
		}
		if err := keeper.Start(); err != nil {
			return err
		}
		p.keeper = keeper.Process
		started <- nil
		_ = keeper.Wait() // what is to be known comes by its status pipe
		return nil
	})
	if err != nil {
		started <- err
	}
}

// attend gives the keeper its order, hears whether the program was started, and listens to both from then on.
func (p *Program) attend(pp pipes) error {
	p.stdin = pp.ours.stdin
	data, err := json.Marshal(order{p.spec.Name, p.spec.Command, p.spec.User, p.spec.Env, hostsFile(p.spec.Hosts)})
	if err == nil {
		_, err = pp.ours.order.Write(data) // an error here has its reason in the status
	}
	_ = pp.ours.order.Close()
	var readers sync.WaitGroup
	read := func(stream Stream, from *os.File) {
		l := &lines{stream: stream, tell: p.spec.Output}
		p.out = append(p.out, l)
		readers.Go(func() {
			l.read(from)
			_ = from.Close()
		})
	}
	read(Stdout, pp.ours.stdout)
	read(Stderr, pp.ours.stderr)
	decoder := json.NewDecoder(pp.ours.status)
	var first status
	if decodeErr := decoder.Decode(&first); decodeErr != nil || !first.Started {
		_ = p.keeper.Kill()
		readers.Wait()
		<-p.gone
		_ = pp.ours.status.Close()
		_ = p.stdin.Close()
		switch {
		case first.Error != "":
			return errors.New(first.Error)
		case err != nil:
			return err
		}
		return fmt.Errorf("its keeper ended: %w %v", decodeErr, p.Tail(tailLines))
	}
	go func() {
		var s status
		for decoder.Decode(&s) == nil {
			if s.Exit != nil {
				p.ended(*s.Exit)
			}
			s = status{}
		}
		readers.Wait() // all that could write has ended
		<-p.gone
		_ = pp.ours.status.Close()
		_ = p.stdin.Close()
		p.ended(Exit{Code: 128 + int(unix.SIGKILL), Signal: unix.SIGKILL}) // if the keeper could not tell
		close(p.done)
	}()
	return nil
}

// ended notes how the command ended; what is known already stays.
func (p *Program) ended(e Exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exit != nil {
		return
	}
	e.Time, e.Asked = time.Now(), p.asked
	p.exit = &e
}

// Name is the pod's.
func (p *Program) Name() string { return p.spec.Name }

// Command is what was given to `sh -c`.
func (p *Program) Command() string { return p.spec.Command }

// Done is closed when the last process that the program has started has ended, and all its output was read.
func (p *Program) Done() <-chan struct{} { return p.done }

// Exit is how the command itself ended; nil if it runs.
func (p *Program) Exit() *Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exit == nil {
		return nil
	}
	e := *p.exit
	e.Killed = p.kill
	return &e
}

// Type writes a line and its line break to the program's stdin. The error is EPIPE if nobody reads there any more.
func (p *Program) Type(line string) error {
	if err := p.stdin.SetWriteDeadline(time.Now().Add(p.spec.Grace)); err != nil {
		return fmt.Errorf("type to %s: %w", p.spec.Name, err)
	}
	if _, err := p.stdin.WriteString(line + "\n"); err != nil {
		return fmt.Errorf("type to %s: %w", p.spec.Name, err)
	}
	return nil
}

// Lines are what the program has written so far, in the order in which it was read, as far as it is kept.
func (p *Program) Lines() []Line { return p.all() }

func (p *Program) all() []Line {
	var out []Line
	for _, l := range p.out {
		out = append(out, l.all()...)
	}
	slices.SortStableFunc(out, func(a, b Line) int { return a.Time.Compare(b.Time) })
	return out
}

// Tail are the last lines that are not empty.
func (p *Program) Tail(n int) []Line {
	all := slices.DeleteFunc(p.all(), func(l Line) bool { return strings.TrimSpace(l.Text) == "" })
	return all[max(0, len(all)-n):]
}

// tailLines is how many lines an error shows.
const tailLines = 8

// Failed is the error of a program that should have done something and has not.
func (p *Program) Failed(before string) error {
	return &Ended{Name: p.spec.Name, Command: p.spec.Command, Exit: p.Exit(), Before: before, Output: p.Tail(tailLines)}
}

// Stop tells the program and all that it has started to end, first with SIGTERM, and after the grace period with
// SIGKILL, and waits until they have. It gives how the command ended. Stopping twice is harmless.
func (p *Program) Stop() Exit {
	p.mu.Lock()
	p.asked = true
	p.mu.Unlock()
	_ = p.keeper.Signal(unix.SIGTERM) // an error means that it has ended
	select {
	case <-p.done:
	case <-time.After(p.spec.Grace):
		p.mu.Lock()
		p.kill = true
		p.mu.Unlock()
		_ = p.keeper.Kill()
		<-p.done
	}
	return *p.Exit()
}
