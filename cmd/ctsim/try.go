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

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/rootless"
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/report"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/byhand"
	"github.com/ctsim/ctsim/scenario/replay"
)

// outcomesToExpect are what --expect takes: all that can become of a program's connection. One at another server than the
// first is not among them: a program's connection is TCP, and whoever gets a packet of a connection that it has not answers
// with a RST.
var outcomesToExpect = func() (out []string) {
	for _, o := range account.Possible(account.External) {
		out = append(out, string(o))
	}
	return out
}()

func tryCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "try",
		Usage:     "find out whether your own program's connection survives the loss of its conntrack entry",
		ArgsUsage: "[-- CLIENT-COMMAND…]",
		Description: "Runs your server in every server pod and your client in the client's pod, waits until the client's connection\n" +
			"through the service is established and idle, breaks it, lets the client use it again, and reports whether it\n" +
			"survived, was reset, hung or was silently replaced; which side noticed, and when; how the sockets are set; and\n" +
			"what would help.\n\n" +
			"   ctsim try --port 6379 --input PING --client 'redis-cli -h myservice' --server 'redis-server --protected-mode no'\n" +
			"   ctsim try --fault expire --timeout 350s --client $PWD/client --server $PWD/server\n" +
			"   ctsim try --expect reset -- $PWD/client\n\n" +
			"Commands are passed to sh -c. The service is `myservice` in /etc/hosts, and $SERVICE, $SERVICE_HOST, $SERVICE_PORT;\n" +
			"a server must listen on $PORT on all addresses. Both start in a HOME of their own; your current directory is\n" +
			"$OLDPWD. HOME, TMPDIR and /run are in memory and gone at the end; the machine's other files are neither hidden\n" +
			"nor write-protected. stdin stays open and is not a terminal. Without --server, ctsim's own is used: it reads\n" +
			"and never answers.\n\n" +
			"The flush or expiry is repeated until the flow is re-routed to another backend. The client uses its connection of\n" +
			"its own accord within --hold, or because --input is typed to it, and once more if the connection was lost. It has to\n" +
			"use the connection after the break: one that was closed before it, or opened after it, has not been tested.\n\n" +
			"Faults:\n" + faultLines() + "\n" +
			"Exit codes: 0 each connection survived or was silently replaced by a new one (or what --expect says), 1 one was\n" +
			"reset, refused, hung or timed out, 2 wrong usage, 3 a program did not start or never had an idle connection, or this\n" +
			"machine cannot run it, 4 inconclusive: never re-routed, never used again, or closed before the break. Ended by SIGINT\n" +
			"or SIGTERM: 130 or 143.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "client", Usage: "run `COMMAND` as the client"},
			&cli.StringFlag{Name: "server", Usage: "run `COMMAND` as the server, in each of the pods", DefaultText: "ctsim's own"},
			&cli.StringFlag{Name: "user", Usage: "run both as user `NAME`, for programs that refuse to run as root"},
			&cli.IntFlag{Name: "port", Value: 2222, Usage: "use port `N` for the service and for the servers"},
			&cli.IntFlag{Name: "backends", Value: 2, Usage: "give the service `N` server pods"},
			&cli.StringFlag{Name: "fault", Value: "flush", Usage: "break the connection by `FAULT`: " + strings.Join(scenario.FaultNames(), ", ")},
			&cli.DurationFlag{Name: "timeout", Value: 24 * time.Hour, Usage: "let conntrack forget an established connection after `DURATION` of silence"},
			&cli.DurationFlag{Name: "after", Value: 2 * time.Second, Usage: "break it once it has been idle for `DURATION`"},
			&cli.DurationFlag{Name: "quiet-for", Value: 500 * time.Millisecond, Usage: "call a connection idle when nothing has come or gone for `DURATION`"},
			&cli.DurationFlag{Name: "hold", Value: 30 * time.Second, Usage: "wait at most `DURATION` for the client to connect, and to use the connection again"},
			&cli.DurationFlag{Name: "ready", Value: time.Minute, Usage: "wait at most `DURATION` for the servers to listen"},
			&cli.StringFlag{Name: "printed", Usage: "do not call the client idle until it has printed `TEXT`, in case it is slow to log in"},
			&cli.StringFlag{Name: "first", Usage: "type `LINE` to the client as soon as it is connected"},
			&cli.StringFlag{Name: "input", Usage: "type `LINE` to the client after the fault", DefaultText: "nothing: it acts of its own accord"},
			&cli.StringFlag{Name: "expect", Usage: "exit with 0 on this `OUTCOME` only: " + strings.Join(outcomesToExpect, ", "), DefaultText: "survived or reconnected"},
			&cli.BoolFlag{Name: "print", Usage: "print the same as a scenario file, for run --allow-exec, and run nothing"},
			&cli.StringFlag{Name: "report", Usage: "write everything, including the programs' output, to `DIR`/try"},
			cmdline.OutputFlag("text", "json"),
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
		return inv.printTrial(trial)
	}
	plan, err := s.Plan(scenario.Size{})
	if err != nil {
		return inv.trialProblems(err)
	}
	if err = inv.checkSaved(flags.saved, []*scenario.Plan{plan}); err != nil {
		return err
	}
	code, done, err := rootless.Gain(c.Context, inv.Call, nil)
	if err != nil {
		return err
	}
	if !done {
		if code, err = inv.tryOne(c.Context, plan, flags); err != nil {
			return err
		}
	}
	return cmdline.Ended(code)
}

// printTrial writes the trial as a scenario file.
func (inv *invocation) printTrial(trial scenario.Trial) error {
	text, err := trial.YAML()
	if err == nil {
		_, err = inv.Stdout.Write(text)
	}
	return err
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
	return inv.Usage("try", "%s", strings.Join(texts, "; "))
}

func (inv *invocation) tryFlags(c *cli.Context) (f runFlags, t scenario.Trial, err error) {
	t = scenario.Trial{Client: c.String("client"), Server: c.String("server"), User: c.String("user"), Port: c.Int("port"),
		Backends: c.Int("backends"), Timeout: c.Duration("timeout"), After: c.Duration("after"), Quiet: c.Duration("quiet-for"),
		Hold: c.Duration("hold"), Ready: c.Duration("ready"), Printed: c.String("printed"), First: c.String("first"), Input: c.String("input"),
		Expect: account.Outcome(c.String("expect"))}
	operands := c.Args().Slice()
	switch {
	case t.Client != "" && len(operands) > 0:
		return f, t, inv.Usage("try", "--client and operands are both the client's command; want one of them")
	case len(operands) > 0:
		quoted := make([]string, len(operands))
		for i, word := range operands {
			quoted[i] = byhand.PlainQuote(word)
		}
		t.Client = strings.Join(quoted, " ")
	case strings.TrimSpace(t.Client) == "":
		return f, t, inv.Usage("try", "try needs the client's command, --client 'COMMAND'")
	}
	if t.Fault, err = inv.Choice(c, "fault", scenario.FaultNames()...); err != nil {
		return f, t, err
	}
	if c.IsSet("expect") {
		if _, err = inv.Choice(c, "expect", outcomesToExpect...); err != nil {
			return f, t, err
		}
	}
	if f.format, err = inv.Choice(c, "output", "text", "json"); err != nil {
		return f, t, err
	}
	if f.color, err = inv.Choice(c, "color", "auto", "always", "never"); err != nil {
		return f, t, err
	}
	if err := inv.NotEmpty(c, "report"); err != nil {
		return f, t, err
	}
	f.verbose, f.quiet, f.saved = c.Bool("verbose"), c.Bool("quiet"), saved{folder: c.String("report")}
	if f.verbose && f.quiet {
		return f, t, inv.Usage("try", "--verbose and --quiet exclude each other")
	}
	return f, t, inv.tryBounds(c)
}

// tryBounds are the limits of numbers and durations, which would be found later too, but not by the flag's name.
func (inv *invocation) tryBounds(c *cli.Context) error {
	for flag, most := range map[string]int{"port": 65535, "backends": 250} {
		if n := c.Int(flag); n < 1 || n > most {
			return inv.Usage("try", "--%s %d: expected 1 to %d", flag, n, most)
		}
	}
	for _, limit := range []struct {
		flag      string
		low, high time.Duration
	}{{"timeout", time.Second, 120 * time.Hour}, {"after", 0, time.Hour}, {"quiet-for", 50 * time.Millisecond, time.Hour},
		{"hold", 100 * time.Millisecond, time.Hour}, {"ready", 100 * time.Millisecond, time.Hour}} {
		if d := c.Duration(limit.flag); d < limit.low || d > limit.high {
			return inv.Usage("try", "--%s %s: expected %s to %s", limit.flag, d, limit.low, limit.high)
		}
	}
	if d := c.Duration("timeout"); d%time.Second != 0 {
		return inv.Usage("try", "--timeout %s: conntrack counts in whole seconds", d)
	}
	return nil
}

// tryOne runs the trial, writes its report, and gives the exit code.
func (inv *invocation) tryOne(ctx context.Context, plan *scenario.Plan, flags runFlags) (int, error) {
	status := newStatus(inv.Stderr, 1, flags.verbose)
	defer status.close()
	o := flags.options
	o.Rootless = rootless.Is()
	o.Progress = func(p replay.Progress) { status.update(plan.Scenario, p) }
	if flags.verbose {
		o.Observe = func(seen evidence.Observation) { inv.printed(status, seen) }
	}
	one := runOne(ctx, plan, o)
	status.ended(plan.Scenario)
	if i, ok := cmdline.Interrupted(ctx); ok && one.err != nil {
		return i.ExitCode(), one.err
	}
	if one.err != nil {
		return 0, one.err
	}
	one.result.Trial = true
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
	status.above(func() { _, err = inv.Stdout.Painted().Write(b.Bytes()) })
	if i, ok := cmdline.Interrupted(ctx); ok {
		return i.ExitCode(), err
	}
	return exitCodeOf([]outcome{one}), err
}

// printed shows a line of a program's output as it comes.
func (inv *invocation) printed(status *status, o evidence.Observation) {
	if slices.Contains([]string{"stdout", "stderr"}, o.Kind) {
		status.above(func() { fmt.Fprintf(inv.Stderr, "%s %s| %s\n", o.At, o.Kind, printable.Line(o.Text)) })
	}
}
