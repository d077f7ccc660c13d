package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/internal/strictyaml"
	"github.com/ctsim/ctsim/scenario/byhand"
	"github.com/ctsim/ctsim/scenario/replay"
)

// errQuit is why a run ended that its user has seen enough of.
var errQuit = errors.New("ended at the prompt")

const stepHelp = `Enter, step        take the step
skip               leave it out, because you did it by hand
continue           go on without stopping
table [NODE]       the conntrack tables
rules [NODE]       the rules with their counters
sockets [PLACE]    the TCP sockets with their timers
enter [PLACE]      what to put in front of a command in another terminal
exec PLACE CMD…    run a command in a pod or node
shell PLACE        run a shell there
quit               end the run; the report holds what was seen
`

// stepper stops a run before each step, says what comes and does what is typed. It writes to stderr: stdout is the
// report's.
type stepper struct {
	inv         *invocation
	interactive bool // a person is at stdin, so that a prompt is of use
	quit        context.CancelCauseFunc
	going       bool // on without stopping
	begun       bool
	pause       *replay.Pause
}

// newStepper reads stdin from now on. Quit ends the run.
func (inv *invocation) newStepper(quit context.CancelCauseFunc) *stepper {
	s := &stepper{inv: inv, quit: quit}
	f, isFile := inv.Stdin.(*os.File)
	s.interactive = isFile && term.IsTerminal(int(f.Fd()))
	return s
}

// read hands over one line; ok is false at the end of stdin. Nothing is read before it is asked for, so that a shell
// that is run has the terminal for itself.
func (s *stepper) read(ctx context.Context, in *bufio.Reader) (line string, ok bool, err error) {
	type answer struct {
		line string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		line, err := in.ReadString('\n')
		got <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", false, ctx.Err()
	case a := <-got:
		return strings.TrimSpace(a.line), a.err == nil || a.line != "", nil
	}
}

// before is scenario.Options.Before.
func (s *stepper) before(in *bufio.Reader) func(context.Context, *replay.Pause) error {
	return func(ctx context.Context, p *replay.Pause) error {
		if s.going {
			return nil
		}
		s.pause = p
		s.say(s.announce())
		for {
			if s.interactive {
				s.say("ctsim> ")
			}
			line, ok, err := s.read(ctx, in)
			if err != nil {
				return err
			}
			if !ok {
				s.going = true
				s.say("end of input: going on without stopping\n")
				return nil
			}
			if !s.interactive { // else it stands there already
				s.say("ctsim> " + printable.Line(line) + "\n")
			}
			if done, err := s.do(ctx, strings.Fields(line)); done || err != nil {
				return err
			}
		}
	}
}

// announce says what comes next, and what a person would type.
func (s *stepper) announce() string {
	var b strings.Builder
	if !s.begun {
		s.begun = true
		fmt.Fprintf(&b, "The world is up. Enter takes a step, help lists what else there is. The clock goes on while you look:\n"+
			"entries and keepalive timers run out as they would.\n")
		for _, timer := range byhand.Timers(s.pause.Plan) {
			fmt.Fprintf(&b, "Here %s.\n", timer)
		}
	}
	p := s.pause
	fmt.Fprintf(&b, "\nstep %d/%d", p.Number[0], p.Steps)
	for _, n := range p.Number[1:] {
		fmt.Fprintf(&b, ", %d of round %d", n, p.Round)
	}
	fmt.Fprintf(&b, "  %s\n", printable.Line(p.Step.Describe()))
	commands := byhand.Commands(p.Step, momentOf(p))
	for i, c := range commands {
		if i == mostCommands {
			fmt.Fprintf(&b, "  … and %d more\n", len(commands)-mostCommands)
			break
		}
		b.WriteString(byHand(p, c))
	}
	return b.String()
}

// mostCommands is how many commands are shown for a step; with many entries or endpoints there are as many more.
const mostCommands = 8

// momentOf is what the commands of the next step depend on. A table that cannot be read gives no command.
func momentOf(p *replay.Pause) byhand.Moment {
	m := byhand.Moment{Plan: p.Plan, Endpoints: p.Endpoints, Serving: p.Serving, Ports: p.Ports, Connections: p.Connections,
		Entries: map[string][]byhand.Tracked{}}
	for _, node := range p.Nodes() {
		entries, _ := p.Table(node)
		for _, e := range entries {
			m.Entries[node] = append(m.Entries[node], byhand.Tracked{Src: e.Original.Src, Dst: e.Original.Dst, Left: e.Timeout})
		}
	}
	alive := p.Places()
	for _, pod := range p.Plan.ServerNames() {
		if slices.Contains(alive, pod) {
			m.Pods = append(m.Pods, pod)
		}
	}
	return m
}

// byHand is a command as it is typed on a cluster, in a shell of the pod or node, and as it works here and now from
// another terminal.
func byHand(p *replay.Pause, c byhand.Command) string {
	line := printable.Line(c.Line)
	if c.Into != "" {
		return fmt.Sprintf("  by hand, in %s, into %s: %s\n", c.At, c.Into, line)
	}
	text := fmt.Sprintf("  by hand, in %s: %s\n", c.At, line)
	if here, err := p.Here(c.At, c.Line); err == nil {
		text += "           here: " + printable.Line(here) + "\n"
	}
	return text
}

func (s *stepper) say(text string) {
	_, _ = io.WriteString(s.inv.Stderr, text)
}

// do does what was typed; done is true if the step is to be taken.
func (s *stepper) do(ctx context.Context, words []string) (done bool, err error) {
	if len(words) == 0 {
		return true, nil
	}
	names := []string{"step", "skip", "continue", "table", "rules", "sockets", "enter", "exec", "shell", "quit", "help"}
	args := words[1:]
	switch words[0] {
	case "step", "s":
		return true, nil
	case "skip":
		if byhand.Skippable(s.pause.Step) {
			return true, replay.ErrSkip
		}
		err = errors.New("this step cannot be left out: it makes what later ones need")
	case "continue", "c":
		s.going = true
		return true, nil
	case "quit", "q":
		s.quit(errQuit)
		return false, errQuit
	case "help", "h", "?":
		s.say(stepHelp)
	case "table", "t":
		err = s.each(args, s.pause.Nodes(), s.table)
	case "rules", "r":
		err = s.each(args, s.pause.Nodes(), s.pause.Rules)
	case "sockets", "ss":
		err = s.each(args, s.pause.Places(), s.sockets)
	case "enter", "e":
		err = s.each(args, s.pause.Places(), s.prefix)
	case "exec", "shell":
		err = s.exec(ctx, words[0] == "shell", args)
	default:
		err = fmt.Errorf("unknown: %s", printable.Line(words[0]))
		if near := strictyaml.Nearest(words[0], names); near != "" {
			err = fmt.Errorf("%w (did you mean %s?)", err, near)
		}
	}
	if err != nil {
		s.say(printable.Line(err.Error()) + "; help lists what there is\n")
	}
	return false, ctx.Err()
}

// each shows something of the place that was named, or of all.
func (s *stepper) each(named, all []string, show func(string) (string, error)) error {
	places := named
	if len(places) == 0 {
		places = all
	}
	for _, place := range places {
		if !slices.Contains(all, place) {
			return fmt.Errorf("no %s among %s", printable.Line(place), strings.Join(all, ", "))
		}
		text, err := show(place)
		if err != nil {
			return err
		}
		s.say("# " + place + "\n" + text)
	}
	return nil
}

// prefix is what to put before a command.
func (s *stepper) prefix(place string) (string, error) {
	prefix, err := s.pause.Enter(place)
	return prefix + " …\n", err
}

func (s *stepper) table(node string) (string, error) {
	entries, err := s.pause.Table(node)
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintln(&b, strings.TrimRight(e.String(), " "))
	}
	return b.String(), err
}

func (s *stepper) sockets(place string) (string, error) {
	all, err := s.pause.Sockets(place)
	var b strings.Builder
	for _, one := range all {
		fmt.Fprintln(&b, one)
	}
	return b.String(), err
}

// exec runs a command or a shell in a place. What the command says of its end is no error of ctsim's.
func (s *stepper) exec(ctx context.Context, shell bool, words []string) error {
	if len(words) == 0 || !shell && len(words) == 1 {
		return errors.New("want a pod or node" + map[bool]string{false: ", and a command"}[shell])
	}
	place, command := words[0], words[1:]
	stdin := io.Reader(strings.NewReader("")) // what is piped in is for ctsim
	var terminal *os.File
	if s.interactive {
		stdin, terminal = s.inv.Stdin, s.inv.Stdin.(*os.File)
	}
	if shell {
		if !s.interactive {
			return errors.New("a shell needs a terminal; use exec")
		}
		command = []string{"/bin/sh"}
		if sh := os.Getenv("SHELL"); sh != "" {
			command[0] = sh
		}
	}
	err := s.pause.In(place, func() error {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, s.inv.Stderr.Unwrap(), s.inv.Stderr.Unwrap() // the user's own command, and terminal
		return inForeground(cmd, terminal)
	})
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		s.say(exited.String() + "\n")
		return nil
	}
	return err
}
