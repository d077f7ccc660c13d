package conntrack

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/probe/nlmsg"
	"github.com/ctsim/ctsim/topology"
)

// anyDying tells whether the kernel has entries that are dead and whose DESTROY could not be delivered yet. It reads only
// the first datagram of the dump, since that list can be long and the kernel needs its lock to make it shorter: that is
// why it does not ask through github.com/ti-mo/netfilter, which reads to the end.
// Equivalent: `conntrack -L dying`.
func anyDying(ns *topology.Namespace) (bool, error) {
	request, err := netfilter.MarshalNetlink(netfilter.Header{
		SubsystemID: netfilter.NFSubsysCTNetlink,
		MessageType: msgGetDying,
		Flags:       netlink.Request | netlink.Dump,
	}, nil)
	if err != nil {
		return false, err
	}
	request.Header.Length = uint32(nlmsg.HeaderLen + len(request.Data))
	datagram, err := request.MarshalBinary()
	if err != nil {
		return false, err
	}
	answer := make([]byte, 64<<10)
	err = ns.Do(func() error {
		n, failed := exchange(datagram, answer)
		answer = answer[:n]
		return failed
	})
	if err != nil {
		return false, err
	}
	found := false
	err = nlmsg.Each(answer, func(h nlmsg.Header, payload []byte) error {
		switch h.Type {
		case subsysCtnetlink<<8 | msgNew:
			found = true
		case nlmsg.Error:
			return nlmsg.Errno(payload)
		}
		return nil
	})
	return found, err
}

// exchange sends a request and reads the first datagram of the answer; it runs inside the namespace.
func exchange(request, answer []byte) (n int, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return 0, fmt.Errorf("socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	limit := unix.NsecToTimeval(answerWithin.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return 0, fmt.Errorf("SO_RCVTIMEO: %w", err)
	}
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	for {
		n, _, err = unix.Recvfrom(fd, answer, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, fmt.Errorf("receive: %w", err)
		}
		return n, nil
	}
}
