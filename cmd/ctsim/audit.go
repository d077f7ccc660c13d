package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/internal/strictyaml"
	"github.com/ctsim/ctsim/probe/audit"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/report"
	"github.com/ctsim/ctsim/topology"
)

// shortestInterval keeps --watch from being a load on the machine it watches.
const shortestInterval = 100 * time.Millisecond

func auditCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "audit",
		Usage: "find this machine's or its pods' connections that conntrack would cut",
		Description: "Lists established TCP connections with their process, keepalive timer (as netstat --timers), idle time and\n" +
			"conntrack entry, and flags those whose first keepalive probe would come after the entry has expired, or never.\n" +
			"It only reads: it writes nothing and loads no module. Without root it shows what it may see, and says what it\n" +
			"may not.\n\n" +
			"   sudo ctsim audit                        this host\n" +
			"   sudo ctsim audit --all-netns            this host and all its pods\n" +
			"   sudo ctsim audit --pid 4711             one process, whichever namespace it is in\n" +
			"   sudo ctsim audit --netns blue --port 5432\n" +
			"   sudo ctsim audit --watch --only risk\n" +
			"   ctsim audit --fail-on risk --output json\n\n" +
			"With --fail-on risk it exits with 1 if a connection is at risk, with 4 if none is but some could not be judged,\n" +
			"a namespace could not be read or there was no connection to judge, and with 0 if every one is ok. Without, it\n" +
			"exits with 0 once there is a report. 2 is a process or namespace that does not exist, 3 one that you may not\n" +
			"look at.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "pid", Usage: "list only the connections of process `PID`, in its namespace"},
			&cli.StringFlag{Name: "netns", Usage: "look at the namespace `NAME` of `ip netns`, or at a path like /proc/4711/ns/net"},
			&cli.BoolFlag{Name: "all-netns", Usage: "look at all namespaces, each once: of processes, mounted, or held open"},
			&cli.StringFlag{Name: "node", Usage: "treat namespace `NAME` (or a path) as the node whose table tracks the pods", DefaultText: "where their veth pairs lead"},
			&cli.IntFlag{Name: "port", Usage: "list only connections with port `N` on either side, before or after translation"},
			&cli.StringFlag{Name: "state", Value: "established", Usage: "list connections in `STATE`: established, close-wait, or both with a comma"},
			&cli.StringFlag{Name: "only", Usage: "list only connections with this `VERDICT`: risk, unknown, ok"},
			&cli.StringFlag{Name: "fail-on", Usage: "exit with 1 on this `VERDICT`: risk"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "repeat until Ctrl-C, or until --fail-on is met"},
			&cli.DurationFlag{Name: "interval", Value: 2 * time.Second, Usage: "with --watch, repeat every `DURATION`"},
			cmdline.OutputFlag("text", "json"),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print one line for each namespace"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "say why each connection is judged as it is"},
			&cli.StringFlag{Name: "color", Value: "auto", Usage: "use colours `WHEN`: auto, always, never"},
		},
		Action: inv.audit,
	}
}

// auditFlags is a checked command line of `ctsim audit`.
type auditFlags struct {
	target   audit.Target
	filter   audit.Filter
	failOn   string
	watch    bool
	interval time.Duration
	json     bool
	text     report.TextOptions
}

func (inv *invocation) audit(c *cli.Context) error {
	flags, err := inv.auditFlags(c)
	if err != nil {
		return err
	}
	a, err := audit.Open(flags.target, flags.filter)
	if err != nil {
		return inv.auditRefused(err)
	}
	defer func() { _ = a.Close() }()
	if flags.watch {
		return inv.watchAudit(c.Context, a, flags)
	}
	r, err := a.Look()
	if err != nil {
		return inv.auditRefused(err)
	}
	if err := inv.writeAudit(r, flags); err != nil {
		return err
	}
	if r.Summary.Unread == len(r.Namespaces) {
		return cmdline.NewExit(cmdline.ExitUnsupported, strings.Join(r.Namespaces[0].Problems, "; "), inv.rootHint())
	}
	return flags.verdict(r)
}

// verdict is what --fail-on makes of a report. A report on nobody is no good news.
func (f auditFlags) verdict(r *audit.Report) error {
	switch {
	case f.failOn == "":
		return nil
	case r.Summary.Risk > 0:
		return &cmdline.Exit{Code: cmdline.ExitFail}
	case r.Summary.Unknown > 0 || r.Summary.Unread > 0 || r.Summary.Unseen > 0 || r.Summary.Connections == 0:
		return &cmdline.Exit{Code: cmdline.ExitInconclusive}
	}
	return nil
}

func (inv *invocation) writeAudit(r *audit.Report, f auditFlags) error {
	if f.json {
		return report.AuditJSON(inv.Stdout, r, f.watch)
	}
	return report.Audit(inv.Stdout.Painted(), r, f.text)
}

// watchAudit looks until it is interrupted, which is the way to end it, or until --fail-on is met. On a terminal each
// report takes the place of the one before.
func (inv *invocation) watchAudit(ctx context.Context, a *audit.Auditor, f auditFlags) error {
	tick := time.NewTicker(f.interval)
	defer tick.Stop()
	_, live := cmdline.TerminalWidth(inv.Stdout)
	for first := true; ; first = false {
		r, err := a.Look()
		if err != nil {
			return inv.auditRefused(err)
		}
		switch {
		case f.json:
		case live:
			_, _ = io.WriteString(inv.Stdout.Raw(), "\x1b[H\x1b[2J")
			fmt.Fprintf(inv.Stdout, "every %s, Ctrl-C ends: %s\n\n", f.interval, r.Time.Format(time.TimeOnly))
		case first:
			fmt.Fprintf(inv.Stdout, "%s\n\n", r.Time.Format(time.RFC3339))
		default:
			fmt.Fprintf(inv.Stdout, "\n%s\n\n", r.Time.Format(time.RFC3339))
		}
		if err := inv.writeAudit(r, f); err != nil {
			return err
		}
		if f.failOn != "" && r.Summary.Risk > 0 {
			return &cmdline.Exit{Code: cmdline.ExitFail}
		}
		select {
		case <-ctx.Done():
			if i, ok := cmdline.Interrupted(ctx); ok {
				return &cmdline.Exit{Code: i.ExitCode()}
			}
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// auditFlags checks everything before the kernel is asked for anything.
func (inv *invocation) auditFlags(c *cli.Context) (f auditFlags, err error) {
	if c.NArg() > 0 {
		return f, inv.Usage("audit", "audit takes no operand, got %q", c.Args().First())
	}
	f.target = audit.Target{PID: c.Int("pid"), Namespace: c.String("netns"), All: c.Bool("all-netns"), Node: c.String("node")}
	f.watch, f.interval = c.Bool("watch"), c.Duration("interval")
	if err = inv.auditTarget(c); err != nil {
		return f, err
	}
	switch port := c.Int("port"); {
	case c.IsSet("port") && (port < 1 || port > 65535):
		return f, inv.Usage("audit", "--port %d: expected 1 to 65535", port)
	default:
		f.filter.Port = uint16(port)
	}
	if f.interval < shortestInterval {
		return f, inv.Usage("audit", "--interval %s: expected %s or more", f.interval, shortestInterval)
	}
	if c.IsSet("interval") && !f.watch {
		return f, inv.Usage("audit", "--interval goes with --watch")
	}
	if f.filter.States, err = inv.auditStates(c); err != nil {
		return f, err
	}
	format, err := inv.Choice(c, "output", "text", "json")
	if err != nil {
		return f, err
	}
	only, err := inv.Choice(c, "only", string(audit.Risk), string(audit.Unknown), string(audit.OK))
	if err != nil {
		return f, err
	}
	if f.failOn, err = inv.Choice(c, "fail-on", string(audit.Risk)); err != nil {
		return f, err
	}
	color, err := inv.Choice(c, "color", "auto", "always", "never")
	if err != nil {
		return f, err
	}
	f.filter.Only, f.json = audit.Verdict(only), format == "json"
	f.text = report.TextOptions{Color: inv.Coloured(color), Verbose: c.Bool("verbose"), Quiet: c.Bool("quiet")}
	if columns, ok := cmdline.TerminalWidth(inv.Stdout); ok {
		f.text.Width = max(40, min(columns, report.DefaultWidth))
	}
	return f, nil
}

// auditTarget checks that one target is named at most.
func (inv *invocation) auditTarget(c *cli.Context) error {
	var named []string
	for _, flag := range []string{"pid", "netns", "all-netns"} {
		if c.IsSet(flag) {
			named = append(named, "--"+flag)
		}
	}
	if len(named) > 1 {
		return inv.Usage("audit", "%s: only one of them", strings.Join(named, " and "))
	}
	if c.IsSet("pid") && c.Int("pid") < 1 {
		return inv.Usage("audit", "--pid %d: expected 1 or more", c.Int("pid"))
	}
	for _, flag := range []string{"netns", "node"} {
		if c.IsSet(flag) && c.String(flag) == "" {
			return inv.Usage("audit", "--%s '': expected a name of `ip netns list` or a path", flag)
		}
	}
	return nil
}

// auditStates are the socket states of --state.
func (inv *invocation) auditStates(c *cli.Context) ([]socket.State, error) {
	known := map[string]socket.State{"established": socket.Established, "close-wait": socket.CloseWait}
	var states []socket.State
	for word := range strings.SplitSeq(c.String("state"), ",") {
		s, ok := known[strings.ReplaceAll(strings.ToLower(word), "_", "-")]
		if !ok {
			hint := inv.Program() + " audit --help"
			if near := strictyaml.Nearest(word, []string{"established", "close-wait"}); near != "" {
				hint = inv.Retyped(c.String("state"), strings.ReplaceAll(c.String("state"), word, near))
			}
			return nil, cmdline.UsageHint(hint, "--state %s: expected established, close-wait, or both with a comma", cmdline.Quote(word))
		}
		states = append(states, s)
	}
	return states, nil
}

// rootHint is the same command line with sudo in front, unless root has typed it already.
func (inv *invocation) rootHint() string {
	if os.Geteuid() == 0 {
		return ""
	}
	return inv.WithRoot()
}

// auditRefused gives an error its code: what does not exist was named wrongly, what is forbidden needs root.
func (inv *invocation) auditRefused(err error) error {
	var target *audit.TargetError
	switch {
	case !errors.As(err, &target):
		return err
	case errors.Is(err, fs.ErrNotExist):
		if strings.HasPrefix(target.What, "process") {
			return cmdline.UsageHint("ps -e", "%s does not exist, or has ended", target.What)
		}
		return cmdline.UsageHint("ip netns list", "%s: no such network namespace", target.What)
	case errors.Is(err, topology.ErrNotNetwork):
		return cmdline.UsageHint(inv.Program()+" audit --help", "%s: not a network namespace; expected a name of `ip netns list` or a path like /proc/4711/ns/net", target.What)
	case errors.Is(err, fs.ErrPermission):
		return cmdline.NewExit(cmdline.ExitUnsupported, fmt.Sprintf("%s: its network namespace may not be looked at: that is another user's process, and needs CAP_SYS_PTRACE", target.What), inv.rootHint())
	}
	return err
}
