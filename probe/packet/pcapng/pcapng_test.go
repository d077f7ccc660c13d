package pcapng_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/packet/pcapng"
)

// reset is the RST of a server that has no such connection, seen where it is sent and, translated back, where it
// arrives.
const (
	resetAtServer = "020000000002" + "020000000001" + "0800" +
		"450000280000400040060000" + "ac12a683" + "ac12db41" + "08ae9c40" + "0000000b" + "00000000" + "5004000000000000"
	resetAtClient = "020000000003" + "020000000002" + "0800" +
		"45000028000040003e060000" + "0a6c2125" + "ac12db41" + "08ae9c40" + "0000000b" + "00000000" + "5004000000000000"
)

var (
	sent    = time.Unix(1700000000, 123456789).UTC()
	arrived = sent.Add(4*time.Microsecond + 1)
	hops    = []packet.Hop{
		{At: "client", Interface: "eth0", Packets: 1},
		{At: "master", Interface: "eth0", Dropped: 7},
		{At: "server-2", Interface: "eth0", Packets: 1},
	}
)

const note = `RST: server-2 has no such connection`

// write writes the two packets, the later one first.
func write(t *testing.T) []byte {
	t.Helper()
	packets := []packet.Packet{
		frame(t, resetAtClient, "client", packet.In, arrived),
		frame(t, resetAtServer, "server-2", packet.Out, sent),
	}
	var b bytes.Buffer
	err := pcapng.Write(&b, "ctsim run flush-multi-backend", hops, packets, func(p packet.Packet) string {
		if p.At == "server-2" {
			return note
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	if packets[0].At != "client" {
		t.Error("Write changed the order of the caller's packets")
	}
	return b.Bytes()
}

func frame(t *testing.T, data, at string, direction packet.Direction, stamp time.Time) packet.Packet {
	t.Helper()
	b, err := hex.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	return packet.Packet{At: at, Interface: "eth0", Direction: direction, Time: stamp, Data: b, Length: len(b)}
}

func TestWriteReadBack(t *testing.T) {
	lost := map[int]uint64{}
	r, err := pcapgo.NewNgReader(bytes.NewReader(write(t)), pcapgo.NgReaderOptions{
		StatisticsCallback: func(id int, s pcapgo.NgInterfaceStatistics) { lost[id] = s.PacketsDropped },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.SectionInfo(); got.Comment != "ctsim run flush-multi-backend" || got.Application != "ctsim" {
		t.Errorf("section: %+v", got)
	}
	type read struct {
		At        string
		Time      time.Time
		Direction pcapgo.NgEpbFlag
		Comments  []string
		Data      string
	}
	var got []read
	for {
		data, info, options, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		hop, err := r.Interface(info.InterfaceIndex)
		if err != nil {
			t.Fatal(err)
		}
		if hop.TimestampResolution != 9 {
			t.Errorf("%s: time resolution 10^-%d", hop.Name, hop.TimestampResolution)
		}
		got = append(got, read{hop.Name, info.Timestamp.UTC(), options.Flags.Direction, options.Comments,
			hex.EncodeToString(data)})
	}
	want := []read{
		{"server-2", sent, pcapgo.NgEpbFlagDirectionOutbound, []string{note}, resetAtServer},
		{"client", arrived, pcapgo.NgEpbFlagDirectionInbound, nil, resetAtClient},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packets (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[int]uint64{0: 0, 1: 7, 2: 0}, lost); diff != "" {
		t.Errorf("packets lost by interface (-want +got):\n%s", diff)
	}
	if n := r.NInterfaces(); n != len(hops) {
		t.Errorf("%d interfaces, want %d", n, len(hops))
	}
}

// tshark reads the file without a word on stderr, and shows what was put in.
func TestTsharkReadsIt(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CTSIM_REQUIRE_TSHARK") == "1" {
			t.Fatal(err)
		}
		t.Skipf("needs tshark (apt-get install tshark): %v", err)
	}
	name := filepath.Join(t.TempDir(), "run.pcapng")
	if err := os.WriteFile(name, write(t), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(tshark, "-n", "-r", name, "-T", "fields", "-E", "separator=|",
		"-e", "frame.interface_name", "-e", "frame.interface_description", "-e", "frame.time_epoch", "-e", "ip.src",
		"-e", "tcp.srcport", "-e", "tcp.flags.str", "-e", "frame.packet_flags_direction", "-e", "frame.comment",
		"-e", "_ws.malformed")
	command.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C")
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	// It warns against being root; every other line is a complaint.
	for line := range strings.Lines(stderr.String()) {
		if !strings.HasPrefix(line, "Running as user") {
			t.Errorf("tshark complains: %s", line)
		}
	}
	want := "server-2|eth0 of server-2|1700000000.123456789|172.18.166.131|2222|·········R··|0x00000002|" + note + "|\n" +
		"client|eth0 of client|1700000000.123460790|10.108.33.37|2222|·········R··|0x00000001||\n"
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("tshark prints (-want +got):\n%s", diff)
	}
}

func TestWriteErrors(t *testing.T) {
	p := frame(t, resetAtClient, "client", packet.In, arrived)
	stranger := p
	stranger.At = "server-3"
	for name, c := range map[string]struct {
		w       io.Writer
		hops    []packet.Hop
		packets []packet.Packet
		want    string
	}{
		"no hop":      {io.Discard, nil, nil, "at least one hop"},
		"a hop twice": {io.Discard, []packet.Hop{hops[0], hops[0]}, nil, "hop eth0 of client is given twice"},
		"unknown hop": {io.Discard, hops, []packet.Packet{stranger}, "eth0 of server-3 is not among the hops"},
		"full at end": {full{}, hops, []packet.Packet{p}, "no space left on device"},
		"full midway": {full{}, hops, slices.Repeat([]packet.Packet{p}, 100), "no space left on device"},
	} {
		err := pcapng.Write(c.w, "", c.hops, c.packets, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// A comment of any length leaves a readable file, and so does a run without packets.
func TestWriteExtremes(t *testing.T) {
	p := frame(t, resetAtClient, "client", packet.In, arrived)
	for name, packets := range map[string][]packet.Packet{"long comment": {p, p}, "no packets": nil} {
		var b bytes.Buffer
		long := strings.Repeat("x", 70000)
		if err := pcapng.Write(&b, long, hops, packets, func(packet.Packet) string { return long }); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, err := pcapgo.NewNgReader(&b, pcapgo.DefaultNgReaderOptions)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := 0; ; i++ {
			if _, _, _, err = r.ReadPacketDataWithOptions(); err != nil {
				if !errors.Is(err, io.EOF) || i != len(packets) {
					t.Errorf("%s: %d packets, then %v", name, i, err)
				}
				break
			}
		}
	}
}

// A stream can be read after each packet, as far as it has been written.
func TestStream(t *testing.T) {
	p := frame(t, resetAtClient, "client", packet.In, arrived)
	var b bytes.Buffer
	s, err := pcapng.Begin(&b, "a stream", hops)
	if err != nil {
		t.Fatal(err)
	}
	for want := range 3 {
		r, err := pcapgo.NewNgReader(bytes.NewReader(b.Bytes()), pcapgo.DefaultNgReaderOptions)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for ; err == nil; got++ {
			_, _, err = r.ReadPacketData()
		}
		if got-1 != want || !errors.Is(err, io.EOF) {
			t.Errorf("%d packets after %d were written, then %v", got-1, want, err)
		}
		if err := s.Packet(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.End(hops, arrived); err != nil {
		t.Error(err)
	}
	if _, err := pcapng.Begin(&b, "", nil); err == nil {
		t.Error("a stream without a hop")
	}
	if _, err := pcapng.Begin(full{}, "", hops); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a full disk: %v", err)
	}
}
