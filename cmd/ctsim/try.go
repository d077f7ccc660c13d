package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/report"
	"github.com/ctsim/ctsim/scenario"
)

// outcomesToExpect are what --expect takes.
var outcomesToExpect = []string{"survived", "reconnected", "reset", "hang", "timeout", "refused"}

func tryCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "try",
		Usage:     "find out whether your own program's connection survives the loss of its conntrack entry",
		ArgsUsage: "[-- CLIENT-COMMAND…]",
		Description: "Runs your server in every server pod and your client in the client's pod, waits until the client's connection\n" +
			"through the service is established and idle, breaks it, lets the client use it again, and reports: survived,\n" +
			"reset, hung or silently reconnected; which side noticed, and when; what is set on the sockets; what helps.\n\n" +
			"   ctsim try --port 6379 --input PING --client 'redis-cli -h myservice' --server 'redis-server --protected-mode no'\n" +
			"   ctsim try --fault expire --timeout 350s --client $PWD/client --server $PWD/server\n" +
			"   ctsim try --expect reset -- $PWD/client\n\n" +
			"Commands are given to sh -c. The service is `myservice` in /etc/hosts, and $SERVICE, $SERVICE_HOST, $SERVICE_PORT;\n" +
			"a server has to listen on $PORT of all addresses. They start in a HOME of their own; the folder you are in is\n" +
			"$OLDPWD. HOME, TMPDIR and /run are in memory and gone at the end; nothing else of the machine's files is hidden,\n" +
			"or kept from being written. stdin is open and no terminal. Without --server, ctsim's own stands there: it reads\n" +
			"and never answers.\n\n" +
			"The flush or expiry is repeated until the flow is re-routed to another backend. The client uses its connection by\n" +
			"itself within --hold, or when --input is typed to it; that is typed once more if the connection was lost.\n\n" +
			"Faults:\n" + faultLines() + "\n" +
			"Exit codes: 0 the connection survived or the client silently reconnected (or what --expect says), 1 it was reset,\n" +
			"hung or timed out, 2 wrong usage, 3 a program did not start or never had an idle connection, or this machine\n" +
			"cannot run it, 4 inconclusive: never re-routed, or never used again. Ended by SIGINT or SIGTERM: 130 or 143.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "client", Usage: "run `COMMAND` as the client"},
			&cli.StringFlag{Name: "server", Usage: "run `COMMAND` as the server, in each of the pods", DefaultText: "ctsim's own"},
			&cli.StringFlag{Name: "user", Usage: "run both as user `NAME`, for programs that refuse to be root"},
			&cli.IntFlag{Name: "port", Value: 2222, Usage: "the service's port, and the servers' too, is `N`"},
			&cli.IntFlag{Name: "backends", Value: 2, Usage: "give the service `N` server pods"},
			&cli.StringFlag{Name: "fault", Value: "flush", Usage: "break the connection by `FAULT`: " + strings.Join(scenario.FaultNames(), ", ")},
			&cli.DurationFlag{Name: "timeout", Value: 24 * time.Hour, Usage: "let conntrack forget an established connection after `DURATION` of silence"},
			&cli.DurationFlag{Name: "after", Value: 2 * time.Second, Usage: "break it after it was idle for `DURATION`"},
			&cli.DurationFlag{Name: "quiet-for", Value: 500 * time.Millisecond, Usage: "take a connection for idle when nothing came or went for `DURATION`"},
			&cli.DurationFlag{Name: "hold", Value: 30 * time.Second, Usage: "wait at most `DURATION` for the client to connect, and to use the connection again"},
			&cli.DurationFlag{Name: "ready", Value: time.Minute, Usage: "wait at most `DURATION` for the servers to listen"},
			&cli.StringFlag{Name: "printed", Usage: "take the client for idle only after it has printed `TEXT`, if it is slow to log in"},
			&cli.StringFlag{Name: "first", Usage: "type `LINE` to the client as soon as it is connected"},
			&cli.StringFlag{Name: "input", Usage: "type `LINE` to the client after the fault", DefaultText: "it acts by itself"},
			&cli.StringFlag{Name: "expect", Usage: "end with 0 on this `OUTCOME` alone: " + strings.Join(outcomesToExpect, ", "), DefaultText: "survived or reconnected"},
			&cli.BoolFlag{Name: "print", Usage: "print the same as a scenario file, and run nothing"},
			&cli.StringFlag{Name: "report", Usage: "write everything there is, output of the programs included, into `DIR`/try"},
			outputFlag("text", "json"),
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show every observation, and the programs' output on stderr as it comes"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show only what became of the connection"},
			&cli.StringFlag{Name: "color", Value: "auto", Usage: "colour the text `WHEN`: auto, always, never"},
		},
		Action: inv.try,
	}
}

func faultLines() string {
	var b strings.Builder
	for _, f := range scenario.Faults {
		fmt.Fprintf(&b, "  %-17s %s\n", f.Name, f.Text)
	}
	return b.String()
}

func (inv *invocation) try(c *cli.Context) error {
	flags, trial, err := inv.tryFlags(c)
	if err != nil {
		return err
	}
	s, err := trial.Scenario()
	if err != nil {
		return inv.trialProblems(err)
	}
	if c.Bool("print") {
		text, err := trial.YAML()
		if err == nil {
			_, err = inv.stdout.Write(text)
		}
		return err
	}
	if err := inv.checkSaved(flags.saved, []scenario.Scenario{s}); err != nil {
		return err
	}
	code, done, err := inv.gainRoot(c.Context, &library{})
	if err != nil {
		return err
	}
	if !done {
		if code, err = inv.tryOne(c.Context, s, flags); err != nil {
			return err
		}
	}
	if code != exitPass {
		return &exit{code: code}
	}
	return nil
}

// trialProblems are what is wrong with a trial, without the places of a file that the user has not written.
func (inv *invocation) trialProblems(err error) error {
	var problems scenario.Problems
	if !errors.As(err, &problems) {
		return err
	}
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Text)
	}
	return inv.usage("try", "%s", strings.Join(texts, "; "))
}

func (inv *invocation) tryFlags(c *cli.Context) (f runFlags, t scenario.Trial, err error) {
	t = scenario.Trial{Client: c.String("client"), Server: c.String("server"), User: c.String("user"), Port: c.Int("port"),
		Backends: c.Int("backends"), Timeout: c.Duration("timeout"), After: c.Duration("after"), Quiet: c.Duration("quiet-for"),
		Hold: c.Duration("hold"), Ready: c.Duration("ready"), Printed: c.String("printed"), First: c.String("first"), Input: c.String("input"),
		Expect: scenario.Outcome(c.String("expect"))}
	operands := c.Args().Slice()
	switch {
	case t.Client != "" && len(operands) > 0:
		return f, t, inv.usage("try", "--client and operands are both the client's command; want one of them")
	case len(operands) > 0:
		t.Client = commandLine(operands)
	case strings.TrimSpace(t.Client) == "":
		return f, t, inv.usage("try", "try needs the client's command, --client 'COMMAND'")
	}
	if t.Fault, err = inv.choice(c, "fault", scenario.FaultNames()...); err != nil {
		return f, t, err
	}
	if c.IsSet("expect") {
		if _, err = inv.choice(c, "expect", outcomesToExpect...); err != nil {
			return f, t, err
		}
	}
	if f.format, err = inv.choice(c, "output", "text", "json"); err != nil {
		return f, t, err
	}
	if f.color, err = inv.choice(c, "color", "auto", "always", "never"); err != nil {
		return f, t, err
	}
	f.verbose, f.quiet, f.saved = c.Bool("verbose"), c.Bool("quiet"), saved{folder: c.String("report")}
	if f.verbose && f.quiet {
		return f, t, inv.usage("try", "--verbose and --quiet exclude each other")
	}
	return f, t, inv.tryBounds(c)
}

// tryBounds are the limits of numbers and durations, which would be found later too, but not by the flag's name.
func (inv *invocation) tryBounds(c *cli.Context) error {
	for flag, most := range map[string]int{"port": 65535, "backends": 250} {
		if n := c.Int(flag); n < 1 || n > most {
			return inv.usage("try", "--%s %d: expected 1 to %d", flag, n, most)
		}
	}
	for _, limit := range []struct {
		flag      string
		low, high time.Duration
	}{{"timeout", time.Second, 120 * time.Hour}, {"after", 0, time.Hour}, {"quiet-for", 50 * time.Millisecond, time.Hour},
		{"hold", 100 * time.Millisecond, time.Hour}, {"ready", 100 * time.Millisecond, time.Hour}} {
		if d := c.Duration(limit.flag); d < limit.low || d > limit.high {
			return inv.usage("try", "--%s %s: expected %s to %s", limit.flag, d, limit.low, limit.high)
		}
	}
	if d := c.Duration("timeout"); d%time.Second != 0 {
		return inv.usage("try", "--timeout %s: conntrack counts in whole seconds", d)
	}
	return nil
}

// tryOne runs the trial, writes its report, and gives the exit code.
func (inv *invocation) tryOne(ctx context.Context, s scenario.Scenario, flags runFlags) (int, error) {
	status := newStatus(inv.stderr, 1, flags.verbose)
	defer status.close()
	o := flags.options
	o.Progress = func(p scenario.Progress) { status.update(s.Name, p) }
	if flags.verbose {
		o.Observe = func(seen scenario.Observation) { inv.printed(status, seen) }
	}
	one := runOne(ctx, s, o)
	status.ended(s.Name)
	if i, ok := interrupted(ctx); ok && one.err != nil {
		return i.exitCode(), one.err
	}
	if one.err != nil {
		return 0, one.err
	}
	if err := inv.save(flags.saved, one, status); err != nil {
		return 0, err
	}
	var b bytes.Buffer
	err := report.JSON(&b, one.result)
	if flags.format == "text" {
		b.Reset()
		err = report.Try(&b, one.result, inv.textOptions(flags))
	}
	if err != nil {
		return 0, err
	}
	status.above(func() { _, err = inv.stdout.Write(b.Bytes()) })
	if i, ok := interrupted(ctx); ok {
		return i.exitCode(), err
	}
	return exitCodeOf([]outcome{one}), err
}

// printed shows a line of a program's output as it comes.
func (inv *invocation) printed(status *status, o scenario.Observation) {
	if slices.Contains([]string{"stdout", "stderr"}, o.Kind) {
		status.above(func() { fmt.Fprintf(inv.stderr, "%s %s| %s\n", o.At, o.Kind, printable.Line(o.Text)) })
	}
}
