package audit

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kernelSays is what bpf/inside.c printed about one namespace: what the kernel tells nobody otherwise.
type kernelSays struct {
	settings map[uint64]Settings
	// known tells whether hooks were printed, which they are with the first socket.
	known                  bool
	tracksIPv4, tracksIPv6 bool
}

// parseInside reads its lines. System is the namespace's tcp_keepalive_time: the kernel's own number for it is in
// jiffies, and the ratio of both tells how long one is.
func parseInside(text []byte, system time.Duration) (kernelSays, error) {
	in := kernelSays{settings: map[uint64]Settings{}}
	complete := true
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		kind, rest, _ := strings.Cut(lines.Text(), " ")
		switch kind {
		case "hooks":
			in.known = true
		case "hook":
			var family int
			var function string
			if _, err := fmt.Sscan(rest, &family, &function); err != nil {
				return in, fmt.Errorf("hook %q: %w", rest, err)
			}
			complete = complete && function != "..."
			in.tracksIPv4 = in.tracksIPv4 || function == "ipv4_conntrack_in"
			in.tracksIPv6 = in.tracksIPv6 || function == "ipv6_conntrack_in"
		case "socket":
			var n [4]uint64 // cookie, on, own, all
			if err := readNumbers(rest, n[:]); err != nil {
				return in, fmt.Errorf("socket %q: %w", rest, err)
			}
			in.settings[n[0]] = settingsOf(n[1] == 1, n[2], n[3], system)
		default:
			return in, fmt.Errorf("%q: want hooks, hook or socket", lines.Text())
		}
	}
	in.known = in.known && complete
	return in, nil
}

// readNumbers does what fmt.Sscan does in a tenth of the time, for there may be many sockets.
func readNumbers(text string, to []uint64) (err error) {
	for i := range to {
		var word string
		word, text, _ = strings.Cut(text, " ")
		if to[i], err = strconv.ParseUint(word, 10, 64); err != nil {
			return err
		}
	}
	return nil
}

// settingsOf turns jiffies into time. Own is 0 if the application set nothing.
func settingsOf(on bool, own, all uint64, system time.Duration) Settings {
	s := Settings{On: on, Idle: system}
	if own > 0 && all > 0 && system > 0 {
		s.Own, s.Idle = true, time.Duration(float64(own)/float64(all)*float64(system)).Round(time.Millisecond)
	}
	return s
}
