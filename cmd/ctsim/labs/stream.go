package labs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/internal/safefile"
	"github.com/ctsim/ctsim/lab"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/packet/pcapng"
	"github.com/ctsim/ctsim/topology"
)

// clockTime is how streams write the time of day.
const clockTime = "15:04:05.000000"

func labEventsCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "events",
		Usage: "follow the conntrack events of the nodes",
		Description: "What `conntrack -E` shows on each node, with the time and the node in front; behind a [DESTROY] who ended the\n" +
			"entry. It goes on until Ctrl-C, or until the lab is taken down.\n\n" +
			"   ctsim lab events\n" +
			"   ctsim lab events --node master --output jsonl",
		Flags:  []cli.Flag{labFlag(), nodeFlag(), cmdline.OutputFlag("text", "jsonl")},
		Action: inv.NoOperand(inv.labEvents),
	}
}

// eventEntry is an event in JSON.
type eventEntry struct {
	Time time.Time `json:"time"`
	Type string    `json:"type"`
	tableEntry
	Line string `json:"line"`
	By   string `json:"destroyed_by,omitempty"`
}

func (inv *invocation) labEvents(c *cli.Context) error {
	format, err := inv.Choice(c, "output", "text", "jsonl")
	if err != nil {
		return err
	}
	return inv.inLab(c, func(l *lab.Lab) error {
		nodes, err := inv.nodes(c, l.Record)
		if err != nil {
			return err
		}
		return inv.events(c.Context, l, nodes, format)
	})
}

// events writes the conntrack events of some nodes until it is ended.
func (inv *invocation) events(ctx context.Context, l *lab.Lab, nodes []string, format string) error {
	out := newLines(inv.Stdout)
	type seen struct {
		node string
		conntrack.Event
	}
	order := newInOrder(func(s seen) time.Time { return s.Time },
		func(s seen) { out.write(eventLine(format, l, s.node, s.Event)) })
	var listeners []*conntrack.Listener
	var err error
	for _, node := range nodes {
		var listener *conntrack.Listener
		listener, err = conntrack.Listen(l.Namespace(node), func(e conntrack.Event) { order.add(seen{node, e}) })
		if err != nil {
			break
		}
		listeners = append(listeners, listener)
	}
	if err == nil {
		fmt.Fprintf(inv.Stderr, "ctsim: listening on %s; Ctrl-C ends it\n", shortList(nodes))
		err = inv.untilEnd(ctx, l, out.failed)
	}
	for i, listener := range listeners {
		err = errors.Join(err, listener.Close())
		if n := listener.Lost(); n > 0 {
			inv.Complain(fmt.Sprintf("%s: up to %d events were lost", nodes[i], n), "")
		}
	}
	order.close()
	return out.and(err)
}

func eventLine(format string, l *lab.Lab, node string, e conntrack.Event) string {
	by := ""
	if e.Type == conntrack.Destroy {
		by = e.DestroyedBy().String()
	}
	if format == "jsonl" {
		row := newTableEntry(lab.Entry{Node: node, Entry: e.Entry, Backend: l.Place(e.Reply.Src.Addr())})
		data, err := json.Marshal(eventEntry{e.Time, e.Type.String(), row, e.String(), by})
		if err != nil {
			return err.Error() // never: all of it is plain
		}
		return string(data)
	}
	text := fmt.Sprintf("%s %-8s %s", e.Time.Format(clockTime), node, e)
	if by != "" {
		text += "  # " + by
	}
	return text
}

// lines is where several goroutines write lines. The first error is kept, and closes failed.
type lines struct {
	w      io.Writer
	failed chan struct{}

	mu  sync.Mutex
	err error
}

func newLines(w io.Writer) *lines { return &lines{w: w, failed: make(chan struct{})} }

func (l *lines) write(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	if _, err := fmt.Fprintln(l.w, line); err != nil {
		l.err = err
		close(l.failed)
	}
}

// fail is an error of somebody else who writes there.
func (l *lines) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		close(l.failed)
	}
}

// and joins how a stream ended with the error of a line, unless they are the same one.
func (l *lines) and(end error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err == nil || errors.Is(end, l.err):
		return end
	case end != nil && errors.Is(l.err, end): // the context ended by it
		return l.err
	}
	return errors.Join(end, l.err)
}

// untilEnd waits for a signal, for a line that cannot be written, or for the lab to go. A signal is how a stream is meant
// to end: the exit code says it, and no complaint.
func (inv *invocation) untilEnd(ctx context.Context, l *lab.Lab, failed <-chan struct{}) error {
	look := time.NewTicker(300 * time.Millisecond)
	defer look.Stop()
	store, _, err := inv.labs()
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			if i, ok := cmdline.Interrupted(ctx); ok {
				return &cmdline.Exit{Code: i.ExitCode()}
			}
			return context.Cause(ctx)
		case <-failed:
			return nil
		case <-look.C:
			if r, loadErr := store.Load(l.Name); loadErr != nil || r.ID != l.ID {
				inv.Complain(fmt.Sprintf("lab %s is down", l.Name), "")
				return nil
			}
		}
	}
}

func labCaptureCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:      "capture",
		Usage:     "show or save the packets that pods and nodes send and receive",
		ArgsUsage: "[POD…]",
		Description: "What `tcpdump -ni eth0` shows in each place, all of them if none is named. With --write it is pcapng, for\n" +
			"Wireshark, written as the packets come; - is stdout. It goes on until Ctrl-C, or until the lab is taken down.\n\n" +
			"   ctsim lab capture client\n" +
			"   ctsim lab capture client server-1 --write flush.pcapng\n" +
			"   ctsim lab capture client -w - | wireshark -k -i -",
		Flags:  []cli.Flag{labFlag(), &cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write pcapng to `FILE`; - is stdout"}},
		Action: inv.labCapture,
	}
}

func (inv *invocation) labCapture(c *cli.Context) error {
	file := c.String("write")
	if c.IsSet("write") && file == "" {
		return inv.Usage("lab capture", "--write needs the name of a file, or - for stdout")
	}
	if _, isTerminal := cmdline.TerminalWidth(inv.Stdout); file == "-" && isTerminal {
		return cmdline.UsageHint(cmdline.Join(inv.Args)+" | wireshark -k -i -", "stdout is a terminal, which cannot show pcapng")
	}
	return inv.inLab(c, func(l *lab.Lab) error {
		places, err := inv.places(c, l.Record)
		if err != nil {
			return err
		}
		switch file {
		case "":
			return inv.capture(c.Context, l, places, inv.Stdout, false)
		case "-":
			return inv.capture(c.Context, l, places, inv.Stdout.Raw(), true)
		}
		f, err := safefile.Create(file)
		if err != nil {
			return cmdline.NewExit(cmdline.ExitUsage, fmt.Sprintf("--write: %s", err), "")
		}
		return into(f, func(w io.Writer) error { return inv.capture(c.Context, l, places, w, true) })
	})
}

// into has do write to a file, which is closed afterwards: some file systems say only then that there is no room.
func into(f io.WriteCloser, do func(io.Writer) error) error { return errors.Join(do(f), f.Close()) }

// capture writes the packets of some places until it is ended.
func (inv *invocation) capture(ctx context.Context, l *lab.Lab, places []string, w io.Writer, pcap bool) error {
	out := newLines(w)
	var stream *pcapng.Stream
	if pcap {
		var hops []packet.Hop
		for _, p := range places {
			hops = append(hops, packet.Hop{At: p, Interface: topology.Uplink})
		}
		var err error
		if stream, err = pcapng.Begin(w, "ctsim lab "+l.Name, hops); err != nil {
			return err
		}
	}
	var flows packet.Flows
	var last time.Time
	order := newInOrder(func(p packet.Packet) time.Time { return p.Time }, func(p packet.Packet) {
		last = p.Time
		if stream == nil {
			out.write(fmt.Sprintf("%s %-8s %-3s %s", p.Time.Format(clockTime), p.At, p.Direction, flows.Follow(p)))
		} else if err := stream.Packet(p); err != nil {
			out.fail(err)
		}
	})
	seen, err := inv.watchPackets(ctx, l, places, order.add, out.failed)
	order.close()
	err = out.and(err)
	if stream != nil && out.and(nil) == nil { // what has failed once has no end
		err = errors.Join(err, stream.End(seen, last))
	}
	return err
}

// watchPackets hands on the packets of some places until it is ended, and says how many each saw and lost.
func (inv *invocation) watchPackets(ctx context.Context, l *lab.Lab, places []string, add func(packet.Packet),
	failed <-chan struct{}) ([]packet.Hop, error) {
	capture := packet.NewCapture(add)
	for _, p := range places {
		if err := capture.Add(l.Namespace(p), topology.Uplink); err != nil {
			return nil, errors.Join(err, capture.Close())
		}
	}
	fmt.Fprintf(inv.Stderr, "ctsim: capturing on %s; Ctrl-C ends it\n", shortList(places))
	end := inv.untilEnd(ctx, l, failed)
	closeErr := capture.Close()
	seen, lostErr := capture.Hops()
	for _, h := range seen {
		if h.Dropped > 0 {
			inv.Complain(fmt.Sprintf("%s: %d packets were lost", h.At, h.Dropped), "")
		}
	}
	return seen, errors.Join(end, closeErr, lostErr)
}
