package talk

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/topology"
)

// DefaultPort is the article's.
const DefaultPort = 2222

// ClientCommand is `ctsim client`.
func ClientCommand(call *cmdline.Call) *cli.Command {
	inv := &invocation{call}
	return &cli.Command{
		Name:      "client",
		Usage:     "the article's client: connect, send each line as a message, report what each call returned",
		ArgsUsage: "ADDR[:PORT]",
		Description: "Connects from where it is started, with a plain socket: keepalive is off. Each line of stdin is sent as a\n" +
			"message; what send(2) returned is printed, with the errno by name. Like the article's client it does not receive,\n" +
			"so it learns of a reset from its next send; with --receive it learns at once, as most programs do. The default\n" +
			"port is 2222. No privileges are needed.\n\n" +
			"   ctsim client 10.108.33.37\n" +
			"   ctsim client 127.0.0.1:2222 --keepalive-idle 60s --keepalive-interval 3s --keepalive-count 3\n" +
			"   (echo 1; sleep 5; echo 2) | ctsim client 127.0.0.1 --timestamps\n\n" + talkHelp +
			"\n\nExit codes: 0 the connection lasted to the end, 1 it was lost, refused or timed out, 2 wrong usage,\n" +
			"3 the socket could not be created; 130 and 143 on SIGINT and SIGTERM.",
		Flags: append(socketFlags(),
			&cli.StringFlag{Name: "bind", Usage: "connect from `ADDR[:PORT]`, an address of this machine", DefaultText: "what the kernel chooses"},
			&cli.IntFlag{Name: "connections", Value: 1, Usage: "open `N` connections and send each line on all of them, prefixed with the connection's number"},
			&cli.BoolFlag{Name: "receive", Usage: "receive all the time, and print what arrives"},
			&cli.BoolFlag{Name: "await", Usage: "after each message, wait until it is acknowledged, has been retransmitted twice, or the socket is closed"},
			&cli.DurationFlag{Name: "pause", Usage: "wait `TIME` after each message; the article's client waits 1s"},
			&cli.DurationFlag{Name: "timeout", Value: 130 * time.Second, Usage: "give up connecting after `TIME`; the kernel itself takes 127 s"},
			&cli.BoolFlag{Name: "udp", Usage: "send datagrams instead"},
			timestampsFlag()),
		Action: inv.client,
	}
}

// socketFlags are how client and server set their sockets.
func socketFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "keepalive", Usage: "set SO_KEEPALIVE; the namespace's sysctls net.ipv4.tcp_keepalive_* give the times"},
		&cli.DurationFlag{Name: "keepalive-idle", Usage: "set SO_KEEPALIVE and TCP_KEEPIDLE to `TIME`, whole seconds", DefaultText: "as the sysctl says"},
		&cli.DurationFlag{Name: "keepalive-interval", Usage: "set SO_KEEPALIVE and TCP_KEEPINTVL to `TIME`, whole seconds", DefaultText: "as the sysctl says"},
		&cli.IntFlag{Name: "keepalive-count", Usage: "set SO_KEEPALIVE and TCP_KEEPCNT to `N`", DefaultText: "as the sysctl says"},
		&cli.DurationFlag{Name: "user-timeout", Usage: "set TCP_USER_TIMEOUT to `TIME`", DefaultText: "off"},
	}
}

func timestampsFlag() cli.Flag {
	return &cli.BoolFlag{Name: "timestamps", Aliases: []string{"t"}, Usage: "begin each line with the time"}
}

// socketOptions reads socketFlags.
func (inv *invocation) socketOptions(c *cli.Context) (o peer.SocketOptions, err error) {
	for _, f := range []struct {
		name string
		unit time.Duration
		max  time.Duration
		to   *time.Duration
	}{
		{"keepalive-idle", time.Second, 32767 * time.Second, &o.KeepIdle},
		{"keepalive-interval", time.Second, 32767 * time.Second, &o.KeepInterval},
		{"user-timeout", time.Millisecond, 24 * time.Hour, &o.UserTimeout},
	} {
		*f.to = c.Duration(f.name)
		if c.IsSet(f.name) && (*f.to < f.unit || *f.to > f.max || *f.to%f.unit != 0) {
			return o, inv.Usage(c.Command.Name, "--%s %s: expected a multiple of %s, up to %s", f.name, *f.to, f.unit, f.max)
		}
	}
	if o.KeepCount, err = inv.AtLeastOne(c, "keepalive-count"); err == nil && o.KeepCount > 127 {
		err = inv.Usage(c.Command.Name, "--keepalive-count %d: expected 1 to 127", o.KeepCount)
	}
	o.KeepAlive = c.Bool("keepalive") || o.KeepIdle > 0 || o.KeepInterval > 0 || o.KeepCount > 0
	return o, err
}

// dialer is how the client connects.
type dialer struct {
	ns       *topology.Namespace
	protocol peer.Protocol
	from, to netip.AddrPort
	options  peer.SocketOptions
	timeout  time.Duration
}

func (inv *invocation) client(c *cli.Context) error {
	d, n, err := inv.dialer(c)
	if err != nil {
		return err
	}
	if d.ns, err = topology.CurrentNamespace("here"); err != nil {
		return err
	}
	defer func() { _ = d.ns.Close() }()
	t := newTalk(inv, c, n > 1)
	for id := 1; id <= n; id++ {
		conn, err := d.connect(c.Context, id, t.report)
		if err != nil && c.Context.Err() != nil {
			return quietly(c.Context)
		}
		if cannot := inv.cannotBind(err, d.from); cannot != nil {
			return cannot
		}
		if err == nil {
			t.add(conn)
		}
	}
	t.udp = d.protocol == peer.UDP
	if c.Bool("receive") {
		t.receiveAll()
	}
	return t.run(c.Context)
}

func (inv *invocation) dialer(c *cli.Context) (d dialer, n int, err error) {
	if c.NArg() != 1 {
		return d, 0, inv.Usage("client", "client needs one address to connect to")
	}
	if d.options, err = inv.socketOptions(c); err != nil {
		return d, 0, err
	}
	if d.to, err = inv.address(c, c.Args().First(), DefaultPort); err != nil {
		return d, 0, err
	}
	d.from = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if c.IsSet("bind") {
		if d.from, err = inv.address(c, c.String("bind"), 0); err != nil {
			return d, 0, err
		}
	}
	if n, err = inv.AtLeastOne(c, "connections"); err != nil {
		return d, 0, err
	}
	d.timeout, d.protocol = c.Duration("timeout"), peer.TCP
	switch {
	case d.to.Port() == 0:
		err = inv.Usage("client", "%s: port 0 cannot be connected to", c.Args().First())
	case d.timeout <= 0:
		err = inv.Usage("client", "--timeout %s: expected more than 0", d.timeout)
	case n > 1 && d.from.Port() != 0:
		err = inv.Usage("client", "--bind %s: one source port serves one connection, --connections is %d", c.String("bind"), n)
	case c.Bool("udp"):
		d.protocol = peer.UDP
	}
	return d, n, err
}

func (d dialer) connect(ctx context.Context, id int, report func(peer.Report)) (*peer.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	conn, _, err := peer.Dial(ctx, d.ns, d.protocol, id, d.from, d.to, d.options, report)
	return conn, err
}

// address reads ADDR[:PORT] or :PORT. IPv4 only, as the rules of this world are.
func (inv *invocation) address(c *cli.Context, text string, port uint16) (netip.AddrPort, error) {
	if a, err := netip.ParseAddrPort(text); err == nil && a.Addr().Is4() {
		return a, nil
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Is4() {
		return netip.AddrPortFrom(a, port), nil
	}
	if len(text) > 1 && text[0] == ':' && c.Command.Name == "server" {
		if a, err := netip.ParseAddrPort("0.0.0.0" + text); err == nil {
			return a, nil
		}
	}
	form := "ADDR[:PORT] with an IPv4 address in numbers, 10.108.33.37:2222 for instance"
	return netip.AddrPort{}, inv.Usage(c.Command.Name, "%s: expected %s", cmdline.Quote(text), form)
}

// cannotBind is the error of a local address that cannot be had; nil for all other errors.
func (inv *invocation) cannotBind(err error, at netip.AddrPort) error {
	switch peer.Errno(err) {
	case "EADDRINUSE":
		return cmdline.NewExit(cmdline.ExitUnsupported, fmt.Sprintf("%s: %s", at, peer.ErrnoText(err)),
			fmt.Sprintf("ss -tanp 'sport = :%d'   # who has the port", at.Port()))
	case "EADDRNOTAVAIL":
		return cmdline.NewExit(cmdline.ExitUnsupported, fmt.Sprintf("%s: %s", at, peer.ErrnoText(err)), "ip -br address   # the addresses there are")
	case "EACCES":
		return cmdline.NewExit(cmdline.ExitUnsupported, fmt.Sprintf("%s: %s", at, peer.ErrnoText(err)),
			"take a port above 1023, or: "+inv.WithRoot())
	case "EMFILE":
		return cmdline.NewExit(cmdline.ExitUnsupported, peer.ErrnoText(err), "ulimit -n 20000")
	}
	return nil
}

// errLost ends a client that has lost its connection: all has been said.
var errLost = &cmdline.Exit{Code: cmdline.ExitFail}

// quietly is why ctx ended, without a word if a signal did it: whoever pressed Ctrl-C knows.
func quietly(ctx context.Context) error {
	if i, ok := cmdline.Interrupted(ctx); ok {
		return &cmdline.Exit{Code: i.ExitCode()}
	}
	return context.Cause(ctx)
}
