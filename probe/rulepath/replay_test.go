package rulepath

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

// recording is what one node's kernel said (Linux 6.18, iptables-nft 1.8.9). The file is made by
// `go test -run TestKernelRecording -update`.
type recording struct {
	own, save     string
	rules, traces [][]byte
}

func readRecording(t testing.TB) recording {
	t.Helper()
	text, err := os.ReadFile("testdata/flush.txt")
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	for line := range strings.Lines(string(text)) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case "own":
			r.own = rest
			continue
		case "save":
			r.save += rest + "\n"
			continue
		}
		b, err := hex.DecodeString(rest)
		if err != nil {
			t.Fatal(err)
		}
		switch word {
		case "rule":
			r.rules = append(r.rules, b)
		case "trace":
			r.traces = append(r.traces, b)
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	return r
}

// paths replays the recording.
func (r recording) paths(t testing.TB) []Path {
	t.Helper()
	h := handles{}
	for _, rule := range r.rules {
		if err := h.decodeRule(rule); err != nil {
			t.Fatal(err)
		}
	}
	texts, err := pair(h, parseSave(r.save))
	if err != nil {
		t.Fatal(err)
	}
	a := assembler{node: "master", own: r.own}
	for _, datagram := range r.traces {
		messages, err := decode(datagram)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			a.add(m, time.Unix(0, 0))
		}
	}
	paths := a.take()
	for _, p := range paths {
		texts.resolve(p.Hops)
	}
	return paths
}

// describe is all that a path has.
func describe(p Path) string {
	s := fmt.Sprintf("%s\n  %+v\n  %+v\n  in %d out %d %s status %#x\n", p, p.Packet, p.Last, p.In, p.Out, p.Tracking,
		p.Tracking.Status)
	for i, line := range p.Lines() {
		s += "    " + line
		if p.Hops[i].Mark != 0 {
			s += fmt.Sprintf(" mark %#x", p.Hops[i].Mark)
		}
		s += "\n"
	}
	return s
}

func TestReplay(t *testing.T) {
	want, err := os.ReadFile("testdata/flush.want")
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, p := range readRecording(t).paths(t) {
		got += describe(p)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// TestDecodeCut cuts each recorded message at each byte: an error, never a panic.
func TestDecodeCut(t *testing.T) {
	r := readRecording(t)
	for _, datagram := range r.traces {
		for n := 1; n < len(datagram); n++ {
			if messages, err := decode(datagram[:n]); !errors.Is(err, nlmsg.ErrMalformed) || len(messages) != 0 {
				t.Fatalf("cut to %d: %v, %v", n, messages, err)
			}
		}
	}
	for _, rule := range r.rules {
		for n := range nlmsg.NetfilterLen {
			if err := (handles{}).decodeRule(rule[:n]); !errors.Is(err, nlmsg.ErrMalformed) {
				t.Fatalf("rule cut to %d: %v", n, err)
			}
		}
	}
}

// TestDecodeKeepsWhatItCan puts a bad message between good ones.
func TestDecodeKeepsWhatItCan(t *testing.T) {
	good := readRecording(t).traces[0]
	bad := order{msgTrace, 0, attribute(traceID, []byte{1})}.encode(0)
	messages, err := decode(join(good, bad, good))
	if !errors.Is(err, nlmsg.ErrMalformed) || len(messages) != 2 {
		t.Errorf("%d messages, %v", len(messages), err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range readRecording(f).traces {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		messages, _ := decode(datagram)
		var a assembler
		for range 2 {
			for _, m := range messages {
				a.add(m, time.Time{})
			}
		}
		for _, p := range a.take() {
			_, _ = p.String(), p.Lines()
		}
	})
}

func FuzzRule(f *testing.F) {
	for _, b := range readRecording(f).rules {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		_ = handles{}.decodeRule(payload)
		_, _ = decodeChain(payload)
	})
}
