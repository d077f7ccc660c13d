package talk

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/topology"
)

// ServerCommand is `ctsim server`.
func ServerCommand(call *cmdline.Call) *cli.Command {
	inv := &invocation{call}
	return &cli.Command{
		Name:      "server",
		Usage:     "the article's server: accept connections, receive, report what each call returned",
		ArgsUsage: "[ADDR][:PORT]",
		Description: "Listens where it is started, on 0.0.0.0:2222 by default, and serves any number of connections at the same\n" +
			"time. It never answers of its own accord; with --udp it sends every datagram back. Ctrl-C ends it. No\n" +
			"privileges are needed.\n\n" +
			"   ctsim server\n" +
			"   ctsim server 127.0.0.1:8080 --timestamps\n" +
			"   ctsim server --speak     each line you type goes to every client\n\n" +
			"With --speak, a line that begins with / is not sent: /shutdown, /state, /error, /wait [TIME], /close and /say TEXT\n" +
			"are as in `ctsim client --help`, and /stop closes the listening socket. /stray OFFSET [RST] needs root: it sends on each\n" +
			"connection a segment that no socket sent, OFFSET bytes away from the next one.\n\n" +
			"Exit codes: 2 wrong usage, 3 the address is not available; 130 and 143 on SIGINT and SIGTERM.",
		Flags: append(socketFlags(),
			&cli.BoolFlag{Name: "keep-open", Usage: "do not close a connection when its client ends its stream"},
			&cli.BoolFlag{Name: "speak", Usage: "send each line of stdin to every client"},
			&cli.BoolFlag{Name: "await", Usage: "with --speak, wait after each message until it is acknowledged, has been retransmitted twice, or the socket is closed"},
			&cli.BoolFlag{Name: "udp", Usage: "receive datagrams instead, and send each one back"},
			timestampsFlag()),
		Action: inv.server,
	}
}

func (inv *invocation) server(c *cli.Context) error {
	at := netip.AddrPortFrom(netip.IPv4Unspecified(), DefaultPort)
	options, err := inv.socketOptions(c)
	switch {
	case err != nil:
		return err
	case c.NArg() > 1:
		return inv.Usage("server", "server takes one address")
	case c.Bool("udp") && c.Bool("speak"):
		return inv.Usage("server", "--speak and --udp exclude each other: there are no connections to speak on")
	case c.NArg() == 1:
		if at, err = inv.address(c, c.Args().First(), DefaultPort); err != nil {
			return err
		}
	}
	ns, err := topology.CurrentNamespace("here")
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	t := newTalk(inv, c, true)
	t.server = true
	if c.Bool("udp") {
		return t.serveDatagrams(c.Context, ns, at)
	}
	return t.serve(c, ns, at, options)
}

func (t *talk) serveDatagrams(ctx context.Context, ns *topology.Namespace, at netip.AddrPort) error {
	d, err := peer.ServeDatagrams(ns, at, t.report)
	if err != nil {
		return t.inv.cannotListen(err, at)
	}
	t.say(time.Now(), fmt.Sprintf("listening on %s (udp)", d.Address()))
	<-ctx.Done()
	_ = d.Close()
	return quietly(ctx)
}

func (t *talk) serve(c *cli.Context, ns *topology.Namespace, at netip.AddrPort, o peer.SocketOptions) error {
	reading := peer.Reading{Raw: true, CloseAtEnd: !c.Bool("keep-open")}
	listener, err := peer.ServeReading(ns, at, o, reading, t.report)
	if err != nil {
		return t.inv.cannotListen(err, at)
	}
	defer func() { _ = listener.Close() }()
	t.say(time.Now(), "listening on "+listener.Address().String())
	if c.Bool("speak") {
		t.extra = map[string]func(string) error{
			"stop": func(string) error {
				t.say(time.Now(), "close: listening socket")
				return listener.Stop()
			},
			"stray": func(words string) error { return t.stray(ns, words) },
		}
		if err := t.speak(c.Context, listener); err != nil {
			return err
		}
	}
	<-c.Context.Done()
	return quietly(c.Context)
}

// speak does what the lines say, with the connections of the moment, until they end.
func (t *talk) speak(ctx context.Context, listener *peer.Listener) error {
	lines, shown := t.lines(ctx)
	for {
		shown()
		select {
		case <-ctx.Done():
			return quietly(ctx)
		case line, ok := <-lines:
			if !ok {
				return nil
			}
			t.mu.Lock()
			t.conns = listener.Conns()
			t.mu.Unlock()
			if err := t.do(ctx, line); err != nil {
				return err
			}
		}
	}
}

// stray sends a segment in the name of each connection that its socket has not sent, `/stray 50331648` or
// `/stray 0 RST`.
func (t *talk) stray(ns *topology.Namespace, words string) error {
	offset, flag, _ := strings.Cut(words, " ")
	n, err := strconv.ParseInt(offset, 10, 32)
	if err != nil || (flag != "" && flag != "ACK" && flag != "RST") {
		t.inv.Complain("/stray "+words+": expected a number of bytes, and ACK or RST", "")
		return nil
	}
	return t.each(func(c *peer.Conn) error {
		next, expected, err := c.Numbers()
		if err == nil {
			err = peer.Stray{Src: c.Local(), Dst: c.Remote(), Seq: next + uint32(n), Ack: expected, RST: flag == "RST"}.Send(ns)
		}
		if err != nil {
			t.of(c, "stray: %s", peer.ErrnoText(err))
			return nil
		}
		t.of(c, "stray: sent, %+d bytes off", n)
		return nil
	})
}

func (inv *invocation) cannotListen(err error, at netip.AddrPort) error {
	if cannot := inv.cannotBind(err, at); cannot != nil {
		return cannot
	}
	return fmt.Errorf("listen on %s: %w", at, err)
}
