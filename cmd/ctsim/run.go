package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/library"
	"github.com/ctsim/ctsim/cmd/ctsim/rootless"
	"github.com/ctsim/ctsim/dataplane/modes"
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/replay"
)

func runCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "replay scenarios in real network namespaces and report what happened",
		ArgsUsage: "NAME… | --all",
		Description: "Builds a separate world for each scenario, runs it, and compares what was seen with what the scenario\n" +
			"expects. The report goes to stdout, progress and errors to stderr. Without root it works in a user\n" +
			"namespace.\n\n" +
			"   sudo ctsim run flush-multi-backend\n" +
			"   ctsim run --all --output json\n" +
			"   ctsim run -f my.yaml --connections 100 --verbose\n" +
			"   ctsim run flush-multi-backend --report out      everything, in out/flush-multi-backend/\n\n" + exitCodes,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "run all scenarios; the default with --file"},
			library.FileFlag(),
			library.AllowExecFlag(),
			cmdline.OutputFlag("text", "json", "jsonl", "markdown"),
			&cli.IntFlag{Name: "backends", Usage: "give the service `N` server pods", DefaultText: "as the scenario says"},
			&cli.IntFlag{Name: "connections", Usage: "open `N` connections", DefaultText: "as the scenario says"},
			&cli.StringFlag{Name: "iptables", Usage: "use the iptables `FLAVOUR`: nft, legacy", DefaultText: "what the iptables command is"},
			&cli.IntFlag{Name: "parallel", Usage: "run up to `N` scenarios at the same time", Value: 2 * runtime.NumCPU(), DefaultText: "2 for each CPU"},
			&cli.BoolFlag{Name: "step", Usage: "stop before each step, show how to do it by hand, and let you look around"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show every observation of every connection, and each step on stderr"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show only the verdict and its reason"},
			&cli.StringFlag{Name: "report", Usage: "write everything about each run to `DIR`/NAME"},
			&cli.StringFlag{Name: "pcap", Usage: "write the run's packets to `FILE`, as pcapng"},
			&cli.StringFlag{Name: "kernel", Usage: "run on another `KERNEL` under qemu: an image, a .deb, or the name of a Debian package; 125 if it cannot be tested there"},
			&cli.StringFlag{Name: "watch", Usage: "watch `SOURCES`: all, none, or some of " + evidence.JoinSources(evidence.Sources), DefaultText: "all"},
			&cli.StringFlag{Name: "color", Value: "auto", Usage: "colour the text `WHEN`: auto, always, never"},
		},
		Action: inv.run,
	}
}

// runFlags are the flags of `run`, checked.
type runFlags struct {
	format, color  string
	verbose, quiet bool
	step           bool
	parallel       int
	// saved is where files are written besides stdout.
	saved   saved
	options replay.Options
}

func (inv *invocation) run(c *cli.Context) error {
	flags, err := inv.runFlags(c)
	if err != nil {
		return err
	}
	plans, l, err := inv.toRun(c)
	if err != nil {
		return err
	}
	if flags.step && len(plans) > 1 {
		return inv.Usage("run", "--step is for one scenario, these are %d", len(plans))
	}
	if err = inv.checkSaved(flags.saved, plans); err != nil {
		return err
	}
	// All that can be wrong without the kernel's help is known to be right from here on.
	var code int
	done := c.IsSet("kernel")
	if done {
		code, err = inv.runInGuest(c, l)
	} else {
		code, done, err = rootless.Gain(c.Context, inv.Call, l.Stdin())
	}
	if err == nil && !done {
		code, err = inv.runAll(c.Context, plans, flags)
	}
	if err != nil {
		return err
	}
	return cmdline.Ended(code)
}

func (inv *invocation) runFlags(c *cli.Context) (f runFlags, err error) {
	f.verbose, f.quiet, f.step = c.Bool("verbose"), c.Bool("quiet"), c.Bool("step")
	if f.step && c.String("file") == "-" {
		return f, inv.Usage("run", "--step reads stdin, and so does --file -; give the file by name")
	}
	if f.verbose && f.quiet {
		return f, inv.Usage("run", "--verbose and --quiet exclude each other")
	}
	if f.format, err = inv.Choice(c, "output", "text", "json", "jsonl", "markdown"); err != nil {
		return f, err
	}
	if f.color, err = inv.Choice(c, "color", "auto", "always", "never"); err != nil {
		return f, err
	}
	flavour, err := inv.Choice(c, "iptables", modes.Flavours("iptables")...)
	if err != nil {
		return f, err
	}
	f.options.Flavour = flavour
	if f.options.Watch, err = evidence.ParseSources(c.String("watch")); err != nil {
		return f, inv.Usage("run", "--watch %s", err)
	}
	if err = inv.NotEmpty(c, "report", "pcap"); err != nil { // the evidence would be gone
		return f, err
	}
	f.saved = saved{folder: c.String("report"), pcap: c.String("pcap")}
	if f.saved.pcap != "" && f.options.Watch != nil && !slices.Contains(f.options.Watch, evidence.FromPackets) {
		return f, inv.Usage("run", "--pcap needs --watch packet")
	}
	if err = inv.checkKernel(c); err != nil {
		return f, err
	}
	f.parallel, err = inv.AtLeastOne(c, "parallel")
	return f, err
}

// toRun are the plans of the scenarios asked for, in the size asked for.
func (inv *invocation) toRun(c *cli.Context) ([]*scenario.Plan, *library.Library, error) {
	names, all := c.Args().Slice(), c.Bool("all")
	switch {
	case all && len(names) > 0:
		return nil, nil, cmdline.UsageHint(inv.Retyped("--all", ""), "run takes names or --all, not both")
	case !all && len(names) == 0 && !c.IsSet("file"):
		return nil, nil, cmdline.UsageHint(inv.Program()+" run flush-multi-backend   # or: "+inv.Program()+" list",
			"run needs the name of a scenario, or --all")
	}
	l, err := library.Open(inv.Call, c)
	if err != nil {
		return nil, nil, err
	}
	scenarios := l.Scenarios
	if len(names) > 0 {
		if scenarios, err = l.Named(inv.Call, names); err != nil {
			return nil, nil, err
		}
	}
	size, err := library.SizeOf(inv.Call, c)
	if err != nil {
		return nil, nil, err
	}
	if err := l.MayRun(inv.Call, c, scenarios); err != nil {
		return nil, nil, err
	}
	plans, err := library.Plans(inv.Call, c, scenarios, size)
	return plans, l, err
}

// runAll runs the scenarios, writes their reports, and gives the exit code.
func (inv *invocation) runAll(ctx context.Context, plans []*scenario.Plan, flags runFlags) (int, error) {
	stderr := io.Writer(inv.Stderr)
	if flags.step {
		stderr = io.Discard // the prompt says where the run is
	}
	status := newStatus(stderr, len(plans), flags.verbose)
	defer status.close()
	out := inv.newOutput(flags, len(plans), status)
	ctx, quit := context.WithCancelCause(ctx)
	defer quit(nil)
	var before func(context.Context, *replay.Pause) error
	if flags.step {
		before = inv.newStepper(quit).before(bufio.NewReader(inv.Stdin))
	}
	flags.options.Rootless, flags.options.Sudo = rootless.Is(), cmdline.BySudo()
	b := startBatch(ctx, plans, flags.parallel, func(p *scenario.Plan) replay.Options {
		o := flags.options
		o.Progress = func(now replay.Progress) { status.update(p.Scenario, now) }
		o.Observe, o.Before = out.observer(p.Scenario), before
		return o
	}, func(p *scenario.Plan) { status.ended(p.Scenario) })
	defer b.wait()
	var outcomes []outcome
	for i := range plans {
		one := b.outcome(i)
		outcomes = append(outcomes, one)
		if err := out.outcome(one); err != nil {
			return 0, err
		}
		if err := inv.save(flags.saved, one, status); err != nil {
			return 0, err
		}
	}
	if err := out.end(outcomes); err != nil {
		return 0, err
	}
	if i, ok := cmdline.Interrupted(ctx); ok {
		status.above(func() {
			inv.Complain(fmt.Sprintf("%s; the report holds what was seen until then", i), "")
		})
		return i.ExitCode(), nil
	}
	return exitCodeOf(outcomes), nil
}
