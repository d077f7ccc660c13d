package kernel

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const recordingFile = "testdata/samples.json"

// recording is what a kernel wrote, with what is needed to replay it elsewhere.
type recording struct {
	Functions    map[uint64]string
	ResetReasons map[uint32]string
	DropReasons  map[uint32]string
	Samples      [][]byte // of a little-endian machine
}

func loadRecording(t testing.TB) recording {
	t.Helper()
	b, err := os.ReadFile(recordingFile)
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r recording) dictionary() *dictionary {
	return &dictionary{
		resetReasons: r.ResetReasons,
		dropReasons:  r.DropReasons,
		functions: func(addresses []uint64) []string {
			var names []string
			for _, a := range addresses {
				names = append(names, r.Functions[a])
			}
			return names
		},
		realtime: func(ns uint64, _ bool) time.Time { return time.Unix(0, int64(ns)).UTC() },
	}
}

func needLittleEndian(t testing.TB) {
	t.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the samples are those of a little-endian machine")
	}
}

// What Linux 6.18 wrote for: an ACK to nobody, an ACK to a listener, and a peer that closes with a reset, over IPv4 and
// over IPv6.
func TestReplay(t *testing.T) {
	needLittleEndian(t)
	r := loadRecording(t)
	var got strings.Builder
	for _, raw := range r.Samples {
		s, err := parseSample(raw)
		if err != nil {
			t.Fatal(err)
		}
		e := r.dictionary().event(s)
		fmt.Fprintf(&got, "%s\n  %s netns %d\n  %s\n", e, e.Time.Format(time.RFC3339Nano), e.Namespace,
			strings.Join(e.Stack, " < "))
	}
	const golden = "testdata/events.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}
}

// An IPv4 connection of an IPv6 socket has plain IPv4 addresses.
func TestParseMappedAddress(t *testing.T) {
	raw := make([]byte, sampleHead)
	raw[22] = byte(ReceiveReset)
	raw[25] = familyIPv6
	binary.BigEndian.PutUint16(raw[26:], 2222)
	mapped := netip.MustParseAddr("::ffff:10.0.0.1").As16()
	copy(raw[32:], mapped[:])
	s, err := parseSample(raw)
	if err != nil {
		t.Fatal(err)
	}
	if want := netip.MustParseAddrPort("10.0.0.1:2222"); s.source != want {
		t.Errorf("got %s, want %s", s.source, want)
	}
}

func TestParseSampleErrors(t *testing.T) {
	valid := make([]byte, sampleHead+8)
	valid[22] = byte(Drop)
	tests := map[string]func(raw []byte) []byte{
		"empty":                func([]byte) []byte { return nil },
		"cut in the head":      func(raw []byte) []byte { return raw[:sampleHead-1] },
		"no kind":              func(raw []byte) []byte { raw[22] = 0; return raw },
		"kind of tomorrow":     func(raw []byte) []byte { raw[22] = 5; return raw },
		"stack longer than it": func(raw []byte) []byte { binary.NativeEndian.PutUint16(raw[20:], 16); return raw },
		"half an address":      func(raw []byte) []byte { binary.NativeEndian.PutUint16(raw[20:], 4); return raw },
	}
	for name, spoil := range tests {
		if s, err := parseSample(spoil(append([]byte(nil), valid...))); err == nil {
			t.Errorf("%s: no error, got %+v", name, s)
		}
	}
	if _, err := parseSample(valid); err != nil {
		t.Errorf("valid: %v", err)
	}
}

func FuzzSample(f *testing.F) {
	r := loadRecording(f)
	for _, raw := range r.Samples {
		f.Add(raw)
	}
	dictionary := r.dictionary()
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := parseSample(raw)
		if err != nil {
			return
		}
		if len(s.stack) > maxFrames {
			t.Errorf("%d frames of at most %d", len(s.stack), maxFrames)
		}
		if line := dictionary.event(s).String(); strings.Contains(line, "\n") {
			t.Errorf("more than one line: %q", line)
		}
	})
}
