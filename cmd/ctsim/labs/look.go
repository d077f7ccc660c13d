package labs

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/lab"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/socket"
)

func labFlushCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "flush",
		Usage: "empty the conntrack table of the nodes",
		Description: "Does what `conntrack -F` does, on each node. A connection notices nothing until its next packet: that one gets a\n" +
			"new entry, which leads to another backend with probability (N-1)/N.\n\n" +
			"   ctsim lab flush\n" +
			"   ctsim lab flush --node master",
		Flags:  []cli.Flag{labFlag(), nodeFlag()},
		Action: inv.NoOperand(inv.labFlush),
	}
}

func (inv *invocation) labFlush(c *cli.Context) error {
	return inv.inLab(c, func(l *lab.Lab) error {
		nodes, err := inv.nodes(c, l.Record)
		if err != nil {
			return err
		}
		for _, node := range nodes {
			n, err := l.Flush(node)
			if err != nil {
				return fmt.Errorf("flush on %s: %w", node, err)
			}
			if _, err := fmt.Fprintf(inv.Stdout, "%s: flushed, %s\n", node, count(n, "entry was in it", "entries were in it")); err != nil {
				return err
			}
		}
		return nil
	})
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func labTableCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "table",
		Usage: "show the conntrack entries of the nodes, with backend and remaining time",
		Description: "Prints one line for each entry. With --output conntrack the lines are those of `conntrack -L`.\n\n" +
			"   ctsim lab table\n" +
			"   ctsim lab table --node master --output json",
		Flags:  []cli.Flag{labFlag(), nodeFlag(), cmdline.OutputFlag("text", "conntrack", "json")},
		Action: inv.NoOperand(inv.labTable),
	}
}

// tableEntry is an entry in JSON.
type tableEntry struct {
	Node      string   `json:"node"`
	Protocol  string   `json:"protocol"`
	State     string   `json:"state,omitempty"`
	Remaining float64  `json:"remaining_s"`
	Client    string   `json:"client"`
	To        string   `json:"to"`
	Backend   string   `json:"backend,omitempty"`
	Reply     string   `json:"reply_from"`
	Flags     []string `json:"flags"`
}

func (inv *invocation) labTable(c *cli.Context) error {
	format, err := inv.Choice(c, "output", "text", "conntrack", "json")
	if err != nil {
		return err
	}
	return inv.inLab(c, func(l *lab.Lab) error {
		nodes, err := inv.nodes(c, l.Record)
		if err != nil {
			return err
		}
		var all []lab.Entry
		for _, node := range nodes {
			entries, err := l.Table(node)
			if err != nil {
				return err
			}
			all = append(all, entries...)
		}
		return inv.writeTable(format, all)
	})
}

func (inv *invocation) writeTable(format string, all []lab.Entry) error {
	rows := []tableEntry{}
	for _, e := range all {
		rows = append(rows, newTableEntry(e))
	}
	switch format {
	case "json":
		return cmdline.JSON(inv.Stdout, rows)
	case "conntrack":
		for _, e := range all {
			if _, err := fmt.Fprintln(inv.Stdout, e.Entry); err != nil {
				return err
			}
		}
		return nil
	}
	if len(rows) == 0 {
		inv.Complain("no entries", "")
		return nil
	}
	return cmdline.Table(inv.Stdout, "NODE\tPROTO\tSTATE\tREMAINING\tFROM\tTO\tBACKEND\tREPLY FROM\tFLAGS", func(row func(...any)) {
		for _, e := range rows {
			left := time.Duration(e.Remaining * float64(time.Second))
			row(e.Node, e.Protocol, dash(e.State), left, e.Client, e.To, dash(e.Backend), e.Reply, dash(strings.Join(e.Flags, ",")))
		}
	})
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func newTableEntry(e lab.Entry) tableEntry {
	row := tableEntry{Node: e.Node, Protocol: protocolName(e.Original.Protocol), Remaining: e.Timeout.Seconds(),
		Client: e.Original.Src.String(), To: e.Original.Dst.String(), Backend: e.Backend, Reply: e.Reply.Src.String(), Flags: []string{}}
	if e.HasTCP {
		row.State = e.TCP.String()
	}
	if e.Status&conntrack.StatusSeenReply == 0 {
		row.Flags = append(row.Flags, "UNREPLIED")
	}
	if e.Status&conntrack.StatusAssured != 0 {
		row.Flags = append(row.Flags, "ASSURED")
	}
	return row
}

func protocolName(n uint8) string {
	switch n {
	case conntrack.ProtocolTCP:
		return "tcp"
	case conntrack.ProtocolUDP:
		return "udp"
	case conntrack.ProtocolICMP:
		return "icmp"
	}
	return fmt.Sprint(n)
}

func labSocketsCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "sockets",
		Usage:     "show the TCP sockets of pods with their timers",
		ArgsUsage: "[POD…]",
		Description: "Shows what `netstat -tan --timers` shows in each pod, or in those named. A connection whose timer is off never\n" +
			"notices of its own accord that its peer is gone.\n\n" +
			"   ctsim lab sockets\n" +
			"   ctsim lab sockets client --output json",
		Flags:  []cli.Flag{labFlag(), cmdline.OutputFlag("text", "json")},
		Action: inv.labSockets,
	}
}

// socketEntry is a socket in JSON.
type socketEntry struct {
	Pod         string  `json:"pod"`
	Local       string  `json:"local"`
	Remote      string  `json:"remote"`
	State       string  `json:"state"`
	RecvQueue   int     `json:"recv_queue"`
	SendQueue   int     `json:"send_queue"`
	Timer       string  `json:"timer"`
	Expires     float64 `json:"expires_s"`
	Retransmits int     `json:"retransmits"`
	Probes      int     `json:"probes"`
}

func (inv *invocation) labSockets(c *cli.Context) error {
	format, err := inv.Choice(c, "output", "text", "json")
	if err != nil {
		return err
	}
	return inv.inLab(c, func(l *lab.Lab) error {
		pods, err := inv.places(c, l.Record)
		if err != nil {
			return err
		}
		entries := []socketEntry{}
		var lines []string
		for _, pod := range pods {
			var all []socket.Socket
			if all, err = l.Sockets(pod); err != nil {
				return err
			}
			for _, s := range all {
				lines = append(lines, fmt.Sprintf("%-10s %s", pod, s))
				entries = append(entries, socketEntry{pod, s.Local.String(), s.Remote.String(), s.State.String(), s.RecvQueue,
					s.SendQueue, s.Timer.Kind.String(), s.Timer.Expires.Seconds(), s.Timer.Retransmits, s.Timer.Probes})
			}
		}
		if format == "json" {
			return cmdline.JSON(inv.Stdout, entries)
		}
		if len(lines) == 0 {
			inv.Complain("no TCP sockets", "")
			return nil
		}
		_, writeErr := fmt.Fprintf(inv.Stdout, "%-10s Proto Recv-Q Send-Q %-23s %-23s State       Timer\n%s\n",
			"Pod", "Local Address", "Foreign Address", strings.Join(lines, "\n"))
		return writeErr
	})
}

// places are the pods and nodes named as operands, all if none is.
func (inv *invocation) places(c *cli.Context, r *lab.Record) ([]string, error) {
	if c.NArg() == 0 {
		return r.Places(), nil
	}
	for _, name := range c.Args().Slice() {
		if _, err := inv.place(name, r.Places()); err != nil {
			return nil, err
		}
	}
	return c.Args().Slice(), nil
}

func labRulesCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "rules",
		Usage:     "show a node's rules with their counters",
		ArgsUsage: "[NODE]",
		Description: "Prints what `iptables-save -c` prints on the node, the client's by default.\n\n" +
			"   ctsim lab rules\n" +
			"   ctsim lab rules node1",
		Flags:  []cli.Flag{labFlag()},
		Action: inv.labRules,
	}
}

func (inv *invocation) labRules(c *cli.Context) error {
	if c.NArg() > 1 {
		return inv.Usage("lab rules", "lab rules takes one node, got %q too", c.Args().Get(1))
	}
	return inv.inLab(c, func(l *lab.Lab) error {
		node := l.Nodes()[0]
		if c.NArg() == 1 {
			var err error
			if node, err = inv.place(c.Args().First(), l.Nodes()); err != nil {
				return err
			}
		}
		text, err := l.Rules(node)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(inv.Stdout, text)
		return err
	})
}
