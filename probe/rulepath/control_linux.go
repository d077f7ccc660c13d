package rulepath

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/probe/nlmsg"
	"github.com/ctsim/ctsim/topology"
)

const (
	// datagramSize is more than any datagram of the kernel's answers and events.
	datagramSize = 64 << 10
	// answerWithin makes an answer that never comes an error instead of a hang.
	answerWithin = 30 * time.Second
	// maxInterrupted is how often a dump is begun anew because the rules changed meanwhile.
	maxInterrupted = 10
)

// errInterrupted says that the rules changed while they were read (NLM_F_DUMP_INTR).
var errInterrupted = errors.New("the rules changed while they were read")

// control is a socket to give orders to nf_tables and ask it.
type control struct {
	fd       int
	sequence uint32
	buf      []byte
}

func openControl(ns *topology.Namespace) (*control, error) {
	c := &control{fd: -1, buf: make([]byte, datagramSize)}
	err := ns.Do(func() (err error) {
		c.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	patience := unix.NsecToTimeval(answerWithin.Nanoseconds())
	err = unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience)
	if err == nil {
		err = unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("netlink socket: %w", err), c.close())
	}
	return c, nil
}

func (c *control) close() error {
	if c.fd < 0 {
		return nil
	}
	err := unix.Close(c.fd)
	c.fd = -1
	return err
}

// portID is the socket's number, which no other netlink socket of the namespace has.
func (c *control) portID() (uint32, error) {
	name, err := unix.Getsockname(c.fd)
	if err != nil {
		return 0, fmt.Errorf("getsockname: %w", err)
	}
	return name.(*unix.SockaddrNetlink).Pid, nil
}

// apply makes the kernel follow all orders or none.
func (c *control) apply(orders []order) error {
	first := c.sequence + 1
	c.sequence += uint32(len(orders)) + 2
	if err := c.send(encodeBatch(orders, first)); err != nil {
		return err
	}
	var failed error
	for answered := 0; answered < len(orders) && failed == nil; {
		err := c.receive(func(h nlmsg.Header, payload []byte) error {
			if h.Type != nlmsg.Error || int32(h.Sequence-first) < 0 {
				return nil // an answer to what was asked before
			}
			answered++
			if failed == nil {
				failed = nlmsg.Errno(payload)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return failed
}

// dump gives each message of the answer to each, without its struct nlmsghdr. It gives errInterrupted at the end if
// the rules changed meanwhile.
func (c *control) dump(get, answer uint16, each func(payload []byte) error) error {
	c.sequence++
	if err := c.send(order{get, flagDump, nil}.encode(c.sequence)); err != nil {
		return err
	}
	done, interrupted := false, false
	for !done {
		err := c.receive(func(h nlmsg.Header, payload []byte) error {
			if h.Sequence != c.sequence {
				return nil
			}
			interrupted = interrupted || h.Flags&flagDumpIntr != 0
			switch {
			case h.Type == nlmsg.Done, h.Type == nlmsg.Error:
				done = true
				return nlmsg.Errno(payload)
			case h.Type == subsysNFTables<<8|answer:
				return each(payload)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if interrupted {
		return errInterrupted
	}
	return nil
}

func (c *control) send(message []byte) error {
	if err := unix.Sendto(c.fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// receive reads one datagram.
func (c *control) receive(each func(h nlmsg.Header, payload []byte) error) error {
	for {
		n, _, flags, _, err := unix.Recvmsg(c.fd, c.buf, nil, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		case flags&unix.MSG_TRUNC != 0:
			return fmt.Errorf("%w: datagram longer than %d bytes", nlmsg.ErrMalformed, len(c.buf))
		}
		return nlmsg.Each(c.buf[:n], each)
	}
}

// handles reads the rules of iptables. Equivalent: `nft -a list ruleset ip`.
func (c *control) handles() (handles, error) {
	err := errInterrupted
	for range maxInterrupted {
		h := handles{}
		if err = c.dump(msgGetRule, msgNewRule, h.decodeRule); !errors.Is(err, errInterrupted) {
			return h, err
		}
	}
	return nil, err
}

// tables reads which tables have a chain. Equivalent: `nft list chains ip`.
func (c *control) tables() (map[string]bool, error) {
	err := errInterrupted
	for range maxInterrupted {
		found := map[string]bool{}
		err = c.dump(msgGetChain, msgNewChain, func(payload []byte) error {
			table, malformed := decodeChain(payload)
			found[table] = true
			return malformed
		})
		if !errors.Is(err, errInterrupted) {
			return found, err
		}
	}
	return nil, err
}
