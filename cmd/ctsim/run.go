package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/dataplane/modes"
	"github.com/ctsim/ctsim/scenario"
)

func runCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "replay scenarios in real network namespaces and report what happened",
		ArgsUsage: "NAME… | --all",
		Description: "Builds a world of its own for each scenario, runs it, and compares what was seen with what the scenario\n" +
			"expects. The report goes to stdout, progress and errors to stderr. Without root it works in a user\n" +
			"namespace.\n\n" +
			"   sudo ctsim run flush-multi-backend\n" +
			"   ctsim run --all --output json\n" +
			"   ctsim run -f my.yaml --connections 100 --verbose\n" +
			"   ctsim run flush-multi-backend --report out      out/flush-multi-backend/ with all there is\n\n" + exitCodes,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "run all scenarios; the default with --file"},
			fileFlag(),
			outputFlag("text", "json", "jsonl", "markdown"),
			&cli.IntFlag{Name: "backends", Usage: "give the service `N` server pods", DefaultText: "as the scenario says"},
			&cli.IntFlag{Name: "connections", Usage: "open `N` connections", DefaultText: "as the scenario says"},
			&cli.StringFlag{Name: "iptables", Usage: "use the iptables `FLAVOUR`: nft, legacy", DefaultText: "what the iptables command is"},
			&cli.IntFlag{Name: "parallel", Usage: "run up to `N` scenarios at the same time", Value: 2 * runtime.NumCPU(), DefaultText: "2 for each CPU"},
			&cli.BoolFlag{Name: "step", Usage: "stop before each step, say what a person would type, and let you look around"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show every observation of every connection, and each step on stderr"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "show only the verdict and its reason"},
			&cli.StringFlag{Name: "report", Usage: "write everything there is about each run into `DIR`/NAME"},
			&cli.StringFlag{Name: "pcap", Usage: "write the packets of the run into `FILE`, as pcapng"},
			&cli.StringFlag{Name: "watch", Usage: "watch `SOURCES`: all, none, or some of " + scenario.JoinSources(scenario.Sources), DefaultText: "all"},
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
	options scenario.Options
}

func (inv *invocation) run(c *cli.Context) error {
	flags, err := inv.runFlags(c)
	if err != nil {
		return err
	}
	scenarios, l, err := inv.toRun(c, flags.options)
	if err != nil {
		return err
	}
	if flags.step && len(scenarios) > 1 {
		return inv.usage("run", "--step is for one scenario, these are %d", len(scenarios))
	}
	if err := inv.checkSaved(flags.saved, scenarios); err != nil {
		return err
	}
	// All that can be wrong without the kernel's help is known to be right from here on.
	code, done, err := inv.gainRoot(c.Context, l)
	if err != nil {
		return err
	}
	if !done {
		code, err = inv.runAll(c.Context, scenarios, flags)
		if err != nil {
			return err
		}
	}
	if code != exitPass {
		return &exit{code: code}
	}
	return nil
}

func (inv *invocation) runFlags(c *cli.Context) (f runFlags, err error) {
	f.verbose, f.quiet, f.step = c.Bool("verbose"), c.Bool("quiet"), c.Bool("step")
	if f.step && c.String("file") == "-" {
		return f, inv.usage("run", "--step reads stdin, and so does --file -; give the file by name")
	}
	if f.verbose && f.quiet {
		return f, inv.usage("run", "--verbose and --quiet exclude each other")
	}
	if f.format, err = inv.choice(c, "output", "text", "json", "jsonl", "markdown"); err != nil {
		return f, err
	}
	if f.color, err = inv.choice(c, "color", "auto", "always", "never"); err != nil {
		return f, err
	}
	flavour, err := inv.choice(c, "iptables", modes.Flavours("iptables")...)
	if err != nil {
		return f, err
	}
	f.options.Flavour = flavour
	if f.options.Watch, err = scenario.ParseSources(c.String("watch")); err != nil {
		return f, inv.usage("run", "--watch %s", err)
	}
	for _, flag := range []string{"report", "pcap"} {
		if c.IsSet(flag) && c.String(flag) == "" {
			return f, inv.usage("run", "--%s is empty, expected a name", flag) // $UNSET, and the evidence would be gone
		}
	}
	f.saved = saved{folder: c.String("report"), pcap: c.String("pcap")}
	if f.saved.pcap != "" && f.options.Watch != nil && !slices.Contains(f.options.Watch, scenario.FromPackets) {
		return f, inv.usage("run", "--pcap needs --watch packet")
	}
	if f.options.Backends, err = inv.atLeastOne(c, "backends"); err != nil {
		return f, err
	}
	if f.options.Connections, err = inv.atLeastOne(c, "connections"); err != nil {
		return f, err
	}
	f.parallel, err = inv.atLeastOne(c, "parallel")
	return f, err
}

// toRun are the scenarios asked for, each of which fits the options.
func (inv *invocation) toRun(c *cli.Context, o scenario.Options) ([]scenario.Scenario, *library, error) {
	names, all, file := c.Args().Slice(), c.Bool("all"), c.String("file")
	switch {
	case all && len(names) > 0:
		return nil, nil, usageHint(inv.retyped("--all", ""), "run takes names or --all, not both")
	case !all && len(names) == 0 && file == "":
		return nil, nil, usageHint(inv.program()+" run flush-multi-backend   # or: "+inv.program()+" list",
			"run needs the name of a scenario, or --all")
	}
	l, err := inv.load(file)
	if err != nil {
		return nil, nil, err
	}
	scenarios := l.Scenarios
	if len(names) > 0 {
		if scenarios, err = inv.find(l, names); err != nil {
			return nil, nil, err
		}
	}
	for _, s := range scenarios {
		if err := s.Check(o); err != nil {
			return nil, nil, err
		}
	}
	return scenarios, l, nil
}

// runAll runs the scenarios, writes their reports, and gives the exit code.
func (inv *invocation) runAll(ctx context.Context, scenarios []scenario.Scenario, flags runFlags) (int, error) {
	stderr := inv.stderr
	if flags.step {
		stderr = io.Discard // the prompt says where the run is
	}
	status := newStatus(stderr, len(scenarios), flags.verbose)
	defer status.close()
	out := inv.newOutput(flags, len(scenarios), status)
	ctx, quit := context.WithCancelCause(ctx)
	defer quit(nil)
	var before func(context.Context, *scenario.Pause) error
	if flags.step {
		before = inv.newStepper(quit).before(bufio.NewReader(inv.stdin))
	}
	b := startBatch(ctx, scenarios, flags.parallel, func(s scenario.Scenario) scenario.Options {
		o := flags.options
		o.Progress = func(p scenario.Progress) { status.update(s.Name, p) }
		o.Observe, o.Before = out.observer(s.Name), before
		return o
	}, func(s scenario.Scenario) { status.ended(s.Name) })
	defer b.wait()
	var outcomes []outcome
	for i := range scenarios {
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
	if i, ok := interrupted(ctx); ok {
		status.above(func() {
			inv.complain(fmt.Sprintf("%s; the report holds what was seen until then", i), "")
		})
		return i.exitCode(), nil
	}
	return exitCodeOf(outcomes), nil
}
