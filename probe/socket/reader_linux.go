package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/probe/nlmsg"
	"github.com/ctsim/ctsim/topology"
)

const (
	// receiveSize is the most that the kernel puts into one datagram of a dump; offering less makes more datagrams.
	receiveSize = 64 << 10
	// answerWithin makes an answer that never comes an error instead of a hang.
	answerWithin = 30 * time.Second
)

// ErrNotFound is returned by [Reader.Get] for a socket that is not there (any more).
var ErrNotFound = errors.New("no such socket")

// Reader asks for the sockets of one namespace, again and again; its methods may be called side by side. It keeps the
// namespace alive until it is closed.
type Reader struct {
	name string
	mu   sync.Mutex
	fd   int
	buf  []byte
	sent uint32 // requests
}

// Open makes a Reader for ns (socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG) inside it). Reading needs no privileges,
// entering a namespace does.
func Open(ns *topology.Namespace) (*Reader, error) {
	r := &Reader{name: ns.Name(), fd: -1, buf: make([]byte, receiveSize)}
	if err := ns.Do(r.open); err != nil {
		return nil, errors.Join(fmt.Errorf("sock_diag of %s: %w", ns.Name(), err), r.Close())
	}
	return r, nil
}

// open makes the socket; it runs inside the namespace.
func (r *Reader) open() (err error) {
	r.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	patience := unix.NsecToTimeval(answerWithin.Nanoseconds())
	if err := unix.SetsockoptTimeval(r.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return fmt.Errorf("SO_RCVTIMEO: %w", err)
	}
	if err := unix.Bind(r.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// Close ends the Reader. Closing twice is harmless.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return nil
	}
	err := unix.Close(r.fd)
	r.fd = -1
	return err
}

// List gives all TCP sockets of the namespace, IPv4 and IPv6, in every state, in the kernel's order, which is none.
// Sockets that come or go meanwhile may or may not be in it. Equivalent: `ss -tan` with -o and -i.
func (r *Reader) List() ([]Socket, error) {
	sockets, err := r.ask(dumpRequest, true)
	if err != nil {
		return nil, fmt.Errorf("TCP sockets of %s: %w", r.name, err)
	}
	return sockets, nil
}

// Get gives the connection between two addresses, as its local end sees them; for a listening socket remote is
// 0.0.0.0:0. It is a look-up, not a search, and takes no longer when there are many sockets. The error is
// [ErrNotFound] if there is none. Equivalent: `ss -tnoi src LOCAL dst REMOTE`.
func (r *Reader) Get(local, remote netip.AddrPort) (Socket, error) {
	fail := func(err error) (Socket, error) {
		return Socket{}, fmt.Errorf("socket %s → %s in %s: %w", local, remote, r.name, err)
	}
	req, err := oneRequest(local, remote)
	if err != nil {
		return fail(err)
	}
	sockets, err := r.ask(req.bytes, false)
	switch {
	case errors.Is(err, unix.ENOENT):
		return fail(ErrNotFound)
	case err != nil:
		return fail(err)
	}
	for _, s := range sockets {
		// For want of a connection the kernel gives the listening socket that would take one.
		if s.Local.Port() == local.Port() && unmap(s.Remote) == unmap(remote) {
			return s, nil
		}
	}
	return fail(ErrNotFound)
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// ask sends a request, made for its sequence number, and gives the sockets of its answer. The answer of a look-up, unlike a
// dump's, is one message without an end.
func (r *Reader) ask(request func(sequence uint32) []byte, dump bool) (sockets []Socket, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return nil, unix.EBADF
	}
	r.sent++
	if err := unix.Sendto(r.fd, request(r.sent), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	for {
		n, _, flags, _, err := unix.Recvmsg(r.fd, r.buf, nil, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return sockets, fmt.Errorf("receive: %w", err)
		}
		if flags&unix.MSG_TRUNC != 0 {
			return sockets, fmt.Errorf("%w: datagram longer than %d bytes", nlmsg.ErrMalformed, len(r.buf))
		}
		if n >= nlmsg.HeaderLen && binary.NativeEndian.Uint32(r.buf[8:]) != r.sent {
			continue // the rest of an answer that was given up
		}
		var done bool
		sockets, done, err = decode(sockets, r.buf[:n])
		if err != nil || done || !dump {
			return sockets, err
		}
	}
}
