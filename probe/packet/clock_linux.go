package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// clock keeps the kernel's timestamps of received packets switched on.
//
// The first socket of a machine that asks for timestamps switches them on, but not at once: the kernel leaves it to a
// worker (net_enable_timestamp). A packet that comes before the worker has run gets the time at which it is *read*,
// which may be after all that followed from it; packets sent within 0.2 ms of the first Add were seen to suffer that
// every other time. So a capture first sends itself datagrams, in a namespace made for it, until one comes with a
// timestamp, and keeps that socket open.
type clock struct{ fd int }

// clockPatience is how long the worker may take. It was seen to take less than 1 ms.
const clockPatience = 5 * time.Second

// startClock needs CAP_SYS_ADMIN in the current user namespace.
func startClock() (*clock, error) {
	ns, err := topology.NewNamespace("clock")
	if err != nil {
		return nil, err
	}
	c := &clock{fd: -1}
	err = errors.Join(ns.Do(c.start), ns.Close()) // the socket keeps the namespace
	if err != nil {
		return nil, errors.Join(fmt.Errorf("switch packet timestamps on: %w", err), c.close())
	}
	return c, nil
}

// start runs inside the namespace and returns once the kernel stamps packets.
func (c *clock) start() error {
	var err error
	if c.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := loopbackUp(c.fd); err != nil {
		return err
	}
	// SO_TIMESTAMPING, unlike SO_TIMESTAMPNS, gives no timestamp at all rather than the time of reading.
	flags := unix.SOF_TIMESTAMPING_RX_SOFTWARE | unix.SOF_TIMESTAMPING_SOFTWARE
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPING_NEW, flags); err != nil {
		return fmt.Errorf("setsockopt(SO_TIMESTAMPING_NEW): %w", err)
	}
	limit := unix.NsecToTimeval(clockPatience.Nanoseconds())
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return fmt.Errorf("setsockopt(SO_RCVTIMEO): %w", err)
	}
	if err := connectToItself(c.fd); err != nil {
		return err
	}
	for begin := time.Now(); time.Since(begin) < clockPatience; {
		stamped, err := c.tick()
		if stamped || err != nil {
			return err
		}
	}
	return fmt.Errorf("no timestamp after %v: %w", clockPatience, os.ErrDeadlineExceeded)
}

// tick sends one datagram and says whether it came back with a timestamp.
func (c *clock) tick() (bool, error) {
	var data [1]byte
	var control [128]byte
	if _, err := unix.Write(c.fd, data[:]); err != nil {
		return false, fmt.Errorf("write: %w", err)
	}
	_, n, _, _, err := unix.Recvmsg(c.fd, data[:], control[:], 0)
	if err != nil {
		return false, fmt.Errorf("recvmsg: %w", err)
	}
	if n == 0 {
		return false, nil
	}
	header, stamp, _, err := unix.ParseOneSocketControlMessage(control[:n])
	if err != nil {
		return false, fmt.Errorf("control message: %w", err)
	}
	// struct scm_timestamping64: the software timestamp comes first, seconds before nanoseconds.
	return header.Type == unix.SO_TIMESTAMPING_NEW && len(stamp) >= 16 && binary.NativeEndian.Uint64(stamp) != 0, nil
}

// close lets the kernel switch timestamps off again. Closing twice is harmless.
func (c *clock) close() error {
	if c.fd < 0 {
		return nil
	}
	fd := c.fd
	c.fd = -1
	return unix.Close(fd)
}

// loopbackUp is `ip link set lo up`.
func loopbackUp(fd int) error {
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

func connectToItself(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	self, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("getsockname: %w", err)
	}
	if err := unix.Connect(fd, self); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}
