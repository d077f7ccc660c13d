package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

// SocketOptions are what a program sets on its socket. The zero value is a plain socket, like the article's: no
// keepalive, no user timeout.
type SocketOptions struct {
	// KeepAlive sets SO_KEEPALIVE.
	KeepAlive bool
	// KeepIdle and KeepInterval are TCP_KEEPIDLE and TCP_KEEPINTVL, whole seconds; 0 leaves the namespace's sysctls
	// net.ipv4.tcp_keepalive_time and _intvl (7200 s, 75 s) in force.
	KeepIdle, KeepInterval time.Duration
	// KeepCount is TCP_KEEPCNT; 0 leaves net.ipv4.tcp_keepalive_probes (9).
	KeepCount int
	// UserTimeout is TCP_USER_TIMEOUT, whole milliseconds; 0 is the kernel's default.
	UserTimeout time.Duration
}

// control sets the options before connect or listen. Go's own keepalive defaults are switched off by the callers:
// with them nothing would ever break.
func (o SocketOptions) control(_, _ string, raw syscall.RawConn) error {
	type option struct{ level, name, value int }
	var set []option
	if o.KeepAlive {
		set = append(set, option{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1})
	}
	for name, d := range map[int]time.Duration{unix.TCP_KEEPIDLE: o.KeepIdle, unix.TCP_KEEPINTVL: o.KeepInterval} {
		if d > 0 {
			set = append(set, option{unix.IPPROTO_TCP, name, int(d / time.Second)})
		}
	}
	if o.KeepCount > 0 {
		set = append(set, option{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, o.KeepCount})
	}
	if o.UserTimeout > 0 {
		set = append(set, option{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(o.UserTimeout / time.Millisecond)})
	}
	var errs []error
	err := raw.Control(func(fd uintptr) {
		for _, s := range set {
			errs = append(errs, unix.SetsockoptInt(int(fd), s.level, s.name, s.value))
		}
	})
	return errors.Join(append(errs, err)...)
}

// Conn is one end of a TCP connection, or a UDP socket that is connected to one peer. Every call on it is reported.
type Conn struct {
	side Side
	at   string
	// id is the client's number for the connection; a server learns it from the first message.
	id     atomic.Int64
	socket net.Conn
	report func(Report)
	// over is closed when a server's reading has ended; nil for a client, which reads only when told.
	over chan struct{}
}

// Over is closed once a server has met the end of the connection, or its error, and has reported it; nil for a client.
func (c *Conn) Over() <-chan struct{} { return c.over }

// ID is the connection's number, 0 on a server that has not received anything yet.
func (c *Conn) ID() int { return int(c.id.Load()) }

// At is the pod or node that holds this end.
func (c *Conn) At() string { return c.at }

// Local is the socket's own address (getsockname).
func (c *Conn) Local() netip.AddrPort { return addrPort(c.socket.LocalAddr()) }

// Remote is the socket's peer as the program sees it (getpeername): for a client, the service.
func (c *Conn) Remote() netip.AddrPort { return addrPort(c.socket.RemoteAddr()) }

// Protocol is the transport a program speaks.
type Protocol string

// The transports, named as net.Dial names them; IPv4 only.
const (
	TCP Protocol = "tcp4"
	UDP Protocol = "udp4"
)

// Dial connects from a namespace with a plain blocking socket: a TCP connect(2) returns when the handshake is done or
// has failed, one of UDP at once. From is the source address; with port 0 the kernel chooses the port. It returns the
// address that was used, also when connecting failed. The report function is called for every call on the connection,
// also for the connect that failed; it must not block. It needs CAP_SYS_ADMIN over the namespace.
func Dial(ctx context.Context, ns *topology.Namespace, protocol Protocol, id int, from, to netip.AddrPort,
	o SocketOptions, report func(Report)) (*Conn, netip.AddrPort, error) {
	d := net.Dialer{KeepAlive: -1, Control: func(network, address string, raw syscall.RawConn) error {
		// Bound here and not by connect(2), because a socket whose connect failed has forgotten its port.
		return errors.Join(o.control(network, address, raw), bind(raw, protocol, &from))
	}}
	d.SetMultipathTCP(false)
	var conn net.Conn
	began := time.Now()
	err := ns.Do(func() (err error) {
		conn, err = d.DialContext(ctx, string(protocol), to.String())
		return err
	})
	if err == nil {
		from = addrPort(conn.LocalAddr()) // 0.0.0.0 is known only now
	}
	report(Report{Side: Client, At: ns.Name(), Call: Connect, Connection: id, Local: from, Remote: to,
		Began: began, Time: time.Now(), Err: err})
	if err != nil {
		return nil, from, err
	}
	c := &Conn{side: Client, at: ns.Name(), socket: conn, report: report}
	c.id.Store(int64(id))
	return c, from, nil
}

// bind gives a socket its local address and reads back what the kernel made of it.
func bind(raw syscall.RawConn, protocol Protocol, a *netip.AddrPort) error {
	var err error
	cerr := raw.Control(func(fd uintptr) {
		// As every server does, and this client so that it can take a port again that is in TIME_WAIT. Two UDP sockets with it
		// may be given the same port by the kernel.
		if protocol == TCP {
			if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
				return
			}
		}
		if err = unix.Bind(int(fd), &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}); err != nil {
			return
		}
		var name unix.Sockaddr
		if name, err = unix.Getsockname(int(fd)); err == nil {
			*a = netip.AddrPortFrom(a.Addr(), uint16(name.(*unix.SockaddrInet4).Port))
		}
	})
	return errors.Join(cerr, err)
}

// Send is one send(2).
func (c *Conn) Send(b []byte) error {
	began := time.Now()
	n, err := c.socket.Write(b)
	c.tell(Report{Call: Send, Began: began, Bytes: n, Err: err})
	return err
}

// Receive is one recv(2) of up to size bytes that waits for data until the deadline, for ever if it is zero; it gives
// io.EOF at the end of the stream. A client that does not receive learns of a reset from its next send, as the
// article's does.
func (c *Conn) Receive(size int, deadline time.Time) ([]byte, error) {
	if err := c.socket.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	buf := make([]byte, size)
	n, err := c.socket.Read(buf)
	r := Report{Call: Recv, Bytes: n, Data: buf[:n], Err: err}
	if errors.Is(err, io.EOF) {
		r.Err = nil
	}
	c.tell(r)
	return buf[:n], err
}

// CloseWrite ends this side's stream with a FIN (shutdown(SHUT_WR)).
func (c *Conn) CloseWrite() error {
	err := error(syscall.EOPNOTSUPP) // UDP has no stream to end
	began := time.Now()
	if tcp, ok := c.socket.(*net.TCPConn); ok {
		err = tcp.CloseWrite()
	}
	c.tell(Report{Call: Shutdown, Began: began, Err: err})
	return err
}

// Close is close(2), reported.
func (c *Conn) Close() error {
	r := Report{Call: Close, Began: time.Now(), Local: c.Local(), Remote: c.Remote()}
	r.Err = closeStream(c.socket)
	c.tell(r)
	return r.Err
}

// Abandon closes the socket without a word to the peer or a report: the end of a run, not a step of it.
// With SO_LINGER 0 the kernel keeps no socket that would hold the namespace.
func (c *Conn) Abandon() {
	if tcp, ok := c.socket.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.socket.Close()
}

func (c *Conn) tell(r Report) {
	r.Side, r.At, r.Connection, r.Time = c.side, c.at, c.ID(), time.Now()
	r.Local, r.Remote = c.Local(), c.Remote()
	c.report(r)
}

// SocketState is what the kernel says of a socket (TCP_INFO): looking does not take the pending error away, as
// SO_ERROR would.
type SocketState struct {
	// State is the kernel's name, "ESTABLISHED" for instance.
	State string
	// Unacked counts segments in flight, Retransmits the retransmissions of the oldest.
	Unacked, Retransmits int
	// BytesAcked is what the peer has acknowledged, the SYN as one; BytesReceived what has come in order, a FIN as one,
	// whether it was read or not. Kernels before 4.1 and 4.6 give 0.
	BytesAcked, BytesReceived uint64
	// NotSent is bytes written and never sent, a FIN as one; Window how many the peer will take, counted from what it has
	// acknowledged; Probes how often in a row the kernel has tried in vain to send the first of them, or to hear from the peer.
	// Kernels before 4.6 and 5.4 give 0 for the first two.
	NotSent, Window, Probes int
}

// Closed is true once the connection is over for this socket: reset, timed out or closed on both sides.
func (s SocketState) Closed() bool { return s.State == "CLOSE" }

// Waits tells whether bytes are in the socket's queue that nothing at the other end keeps there: none is in flight, and the
// peer's window has room for them. They go out within microseconds unless a rule of the socket's own machine drops them
// (tcp_write_xmit, which leaves it to the probe timer to try again).
func (s SocketState) Waits() bool {
	return !s.Closed() && s.Unacked == 0 && s.NotSent > 0 && s.NotSent <= s.Window
}

// Withheld tells whether they were tried again, and are still there. A peer whose window is closed looks alike to
// `ss`: its sender's timer is the same.
func (s SocketState) Withheld() bool { return s.Waits() && s.Probes > 0 }

// PendingError is the error that the next call on the socket would give, nil if there is none, and takes it away
// (SO_ERROR).
func (c *Conn) PendingError() error {
	raw, err := c.socket.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var errno int
	cerr := raw.Control(func(fd uintptr) { errno, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) })
	if err := errors.Join(cerr, err); err != nil || errno == 0 {
		return err
	}
	return syscall.Errno(errno)
}

// State reads TCP_INFO. A UDP socket has no state; its zero value says so.
func (c *Conn) State() (SocketState, error) {
	tcp, ok := c.socket.(*net.TCPConn)
	if !ok {
		return SocketState{}, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return SocketState{}, err
	}
	var info *unix.TCPInfo
	cerr := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err := errors.Join(cerr, err); err != nil {
		return SocketState{}, fmt.Errorf("TCP_INFO: %w", err)
	}
	s := SocketState{Unacked: int(info.Unacked), Retransmits: int(info.Retransmits), State: "UNKNOWN",
		BytesAcked: info.Bytes_acked, BytesReceived: info.Bytes_received,
		NotSent: int(info.Notsent_bytes), Window: int(info.Snd_wnd), Probes: int(info.Probes)}
	if info.State != 0 {
		s.State = socket.State(info.State).String()
	}
	return s, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
