package socket

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Fields of a line of /proc/net/tcp (tcp4_seq_show in the kernel).
const (
	procLocal = iota + 1
	procRemote
	procState
	procQueues // tx_queue:rx_queue
	procTimer  // tr:tm->when
	procRetransmits
	procUID
	procProbes // the heading says timeout
	procInode
	procFields
)

// ErrMalformed is in the chain of an error about a line of /proc/net/tcp that is none.
var ErrMalformed = errors.New("malformed line of /proc/net/tcp")

// ParseProc reads /proc/net/tcp or /proc/net/tcp6: the same sockets as a sock_diag dump without Info, Interface and
// Cookie, and with timers in hundredths of a second. Equivalent: what `netstat -tan --timers` reads. An error matches
// [ErrMalformed] or comes from the reader.
func ParseProc(r io.Reader) ([]Socket, error) {
	var sockets []Socket
	lines := bufio.NewScanner(r)
	lines.Scan() // the heading
	for lines.Scan() {
		s, err := parseProcLine(strings.Fields(lines.Text()))
		if err != nil {
			return nil, fmt.Errorf("%w in %q", err, lines.Text())
		}
		sockets = append(sockets, s)
	}
	return sockets, lines.Err()
}

func parseProcLine(fields []string) (s Socket, err error) {
	if len(fields) < procFields {
		return s, fmt.Errorf("%w: %d fields, not %d or more", ErrMalformed, len(fields), procFields)
	}
	number := func(text string, base, bits int) uint64 {
		n, e := strconv.ParseUint(text, base, bits)
		if e != nil && err == nil {
			err = fmt.Errorf("%w: %w", ErrMalformed, e)
		}
		return n
	}
	address := func(text string) netip.AddrPort {
		host, port, _ := strings.Cut(text, ":")
		var words []byte
		for len(host) >= 8 {
			words = binary.NativeEndian.AppendUint32(words, uint32(number(host[:8], 16, 32)))
			host = host[8:]
		}
		a, ok := netip.AddrFromSlice(words)
		if (!ok || host != "") && err == nil {
			err = fmt.Errorf("%w: address %q", ErrMalformed, text)
		}
		return netip.AddrPortFrom(a, uint16(number(port, 16, 16)))
	}
	s.Local, s.Remote = address(fields[procLocal]), address(fields[procRemote])
	s.State = State(number(fields[procState], 16, 8))
	send, receive, _ := strings.Cut(fields[procQueues], ":")
	s.SendQueue, s.RecvQueue = int(number(send, 16, 32)), int(number(receive, 16, 32))
	kind, expires, _ := strings.Cut(fields[procTimer], ":")
	s.Timer.Kind = TimerKind(number(kind, 16, 8))
	if hundredths := number(expires, 16, 64); s.Timer.Kind != Off {
		s.Timer.Expires = time.Duration(hundredths) * 10 * time.Millisecond
	}
	s.Timer.Retransmits = int(number(fields[procRetransmits], 16, 32))
	s.Timer.Probes = int(number(fields[procProbes], 10, 32))
	s.UID, s.Inode = uint32(number(fields[procUID], 10, 32)), uint32(number(fields[procInode], 10, 32))
	return s, err
}
