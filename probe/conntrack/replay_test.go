package conntrack

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// recorded is one event as the kernel sent it, and the line that conntrack-tools 1.4.7 printed of it. The files are made
// by `go test -run TestKernelEventsLikeTheCommand -update`.
type recorded struct {
	line  string
	bytes []byte
}

func readRecording(t testing.TB, path string) []recorded {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	for _, row := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		switch word, rest, _ := strings.Cut(row, " "); word {
		case "line":
			all = append(all, recorded{line: rest})
		case "bytes":
			if all[len(all)-1].bytes, err = hex.DecodeString(rest); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		default:
			t.Fatalf("%s: unknown word %q", path, word)
		}
	}
	return all
}

func recordings(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings in testdata: %v", err)
	}
	return files
}

// compareLine compares an event with the command's line, which ends in the caller's port id if there was one.
func compareLine(t testing.TB, e Event, line string) {
	t.Helper()
	want, port, called := strings.Cut(line, " [USERSPACE] portid=")
	if got := e.String(); got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	if !called {
		port = "0"
	}
	if got := strconv.FormatUint(uint64(e.PortID), 10); got != port {
		t.Errorf("%q: port id %s, want %s", e, got, port)
	}
}

func TestReplayGivesTheCommandsLines(t *testing.T) {
	for _, path := range recordings(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			var stream []byte
			var lines []string
			for _, r := range readRecording(t, path) {
				events, err := Decode(r.bytes)
				if err != nil || len(events) != 1 {
					t.Fatalf("%s: %v, %v", r.line, events, err)
				}
				compareLine(t, events[0], r.line)
				stream = append(stream, r.bytes...)
				lines = append(lines, r.line)
			}
			// The same messages in one datagram.
			events, err := Decode(stream)
			if err != nil || len(events) != len(lines) {
				t.Fatalf("in one datagram: %d events of %d, %v", len(events), len(lines), err)
			}
			for i, e := range events {
				compareLine(t, e, lines[i])
			}
		})
	}
}

func TestReplayTellsWhoDestroyed(t *testing.T) {
	for name, want := range map[string][]Destroyer{
		"article":   {Caller, Reset},
		"expiry":    {Expired},
		"close":     {Expired},
		"icmp":      {Expired},
		"udp":       {Caller},
		"protocols": {Caller, Caller, Caller},
	} {
		t.Run(name, func(t *testing.T) {
			var got []Destroyer
			for _, r := range readRecording(t, filepath.Join("testdata", name+".txt")) {
				events, err := Decode(r.bytes)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range events {
					if by := e.DestroyedBy(); by != NotDestroyed {
						got = append(got, by)
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
