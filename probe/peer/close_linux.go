package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// While a program is being started, the child has every descriptor of ctsim until the kernel closes them at its exec,
// and a socket lives as long as the last of its descriptors. Runs side by side start many programs. What close(2) does
// to a socket, that nobody is accepted any more or that a FIN goes out, then comes some milliseconds late, and another
// step may have been taken by then. So each is made to happen before the descriptor is closed.

// closeListening ends a socket's listening at once, whoever else has a descriptor of it, and closes it.
func closeListening(l net.Listener) error {
	err := control(l, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) }) // inet_shutdown: a listening socket is disconnected
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return errors.Join(err, l.Close())
}

// closeStream is close(2) of a connection. Where there is nothing unread the FIN goes out by shutdown(2), which is the
// same on the wire; close(2) with unread data sends a RST, and that can only be left to it.
func closeStream(c net.Conn) error {
	if _, tcp := c.(*net.TCPConn); tcp {
		// What goes wrong here goes wrong in close too, or does not matter to it: a socket that is reset has no stream to end.
		_ = control(c, func(fd int) error {
			if unread, err := unix.IoctlGetInt(fd, unix.SIOCINQ); err != nil || unread > 0 {
				return err
			}
			return unix.Shutdown(fd, unix.SHUT_RDWR)
		})
	}
	return c.Close()
}

// closeBound closes a datagram socket and waits until nobody has its port: the kernel has nothing that would free it
// while somebody else has a descriptor. The kernel's table is read, since a socket made to try the port would be copied
// by the next child in turn.
func closeBound(ns *topology.Namespace, address netip.AddrPort, c io.Closer) error {
	if err := c.Close(); err != nil {
		return err
	}
	for give := time.Now().Add(5 * time.Second); ; time.Sleep(200 * time.Microsecond) {
		var table []byte
		err := ns.Do(func() (err error) {
			table, err = os.ReadFile("/proc/thread-self/net/udp")
			return err
		})
		switch {
		case errors.Is(err, topology.ErrClosed):
			return nil // its namespace is gone: nobody is reached there any more
		case err != nil:
			return err
		case !boundUDP(table, address.Port()):
			return nil
		case time.Now().After(give):
			return fmt.Errorf("udp port %d of %s is still taken 5 s after its socket was closed", address.Port(), ns.Name())
		}
	}
}

// boundUDP tells whether a socket in /proc/net/udp has the port: its second column is the local address, in hex.
func boundUDP(table []byte, port uint16) bool {
	for line := range bytes.Lines(table) {
		if f := bytes.Fields(line); len(f) > 1 && bytes.HasSuffix(f[1], fmt.Appendf(nil, ":%04X", port)) {
			return true
		}
	}
	return false
}

// control calls f with a socket's descriptor.
func control(socket any, f func(fd int) error) error {
	conn, ok := socket.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(cerr, err)
}
