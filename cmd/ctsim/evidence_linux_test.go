package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/scenario/result"
)

// rst is a RST as tshark shows it at one hop.
type rst struct{ at, src, dst string }

// TestKernelCapture: the capture file of a run, read by another program, holds the RST from the right pod, with the
// right addresses at each hop: translated on one side of the node, not on the other.
func TestKernelCapture(t *testing.T) {
	const client, service = "172.18.219.65", "10.108.33.37"
	forEachCallerAtOnce(t, func(t *testing.T, b *binary) {
		for _, name := range []string{"flush-multi-backend", "keepalive-too-slow", "server-speaks-first", "loose-off", "invalid-out-of-window"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r, dir := b.reported(t, name)
				got := resets(t, filepath.Join(dir, "packets.pcapng"))
				var want []rst
				switch name {
				case "flush-multi-backend", "keepalive-too-slow":
					c := r.Connections[0]
					pod := c.Backends[len(c.Backends)-1]
					address := addressOf(r, pod)
					want = []rst{{pod, address, client}, {"node1", address, client}, {"master", address, client}, {"client", service, client}}
				case "server-speaks-first":
					pod := addressOf(r, "server-1")
					want = []rst{{"client", client, pod}, {"master", client, pod}, {"node1", client, pod}, {"server-1", client, pod}}
					want = append(want, rst{"server-1", pod, client}, rst{"node1", pod, client}, rst{"master", pod, client}, rst{"client", service, client})
				}
				if !slices.Equal(got, want) {
					t.Errorf("RST, hop by hop:\n got %v\nwant %v", got, want)
				}
			})
		}
	})
}

// reported runs a scenario with --report, and gives its result and the report's folder.
func (b *binary) reported(t *testing.T, name string) (*result.Result, string) {
	t.Helper()
	out := filepath.Join(b.Tmp, "out")
	stdout, stderr, code := b.Run(t, "run", name, "--output", "json", "--report", out)
	if code != cmdline.ExitPass {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	var r result.Result
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	return &r, filepath.Join(out, name)
}

func addressOf(r *result.Result, pod string) string {
	i := slices.IndexFunc(r.World, func(p evidence.Place) bool { return p.Name == pod })
	if i < 0 {
		return "no pod " + pod
	}
	return r.World[i].Address
}

// resets are the RSTs in a capture file, in the order of time. The file must be read without complaint, and nothing in
// it be malformed.
func resets(t *testing.T, file string) []rst {
	t.Helper()
	if malformed := tshark(t, file, "-Y", "_ws.malformed"); malformed != "" {
		t.Errorf("malformed packets:\n%s", malformed)
	}
	var out []rst
	for line := range strings.Lines(tshark(t, file, "-Y", "tcp.flags.reset == 1", "-T", "fields", "-e", "frame.interface_name",
		"-e", "ip.src", "-e", "ip.dst")) {
		fields := strings.Fields(line)
		out = append(out, rst{fields[0], fields[1], fields[2]})
	}
	return out
}

func tshark(t *testing.T, file string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil && os.Getenv("CTSIM_REQUIRE_KERNEL") != "1" {
		t.Skip("needs tshark: apt-get install tshark")
	}
	cmd := exec.Command("tshark", append([]string{"-n", "-r", file}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
	}
	for line := range strings.Lines(stderr.String()) {
		if !strings.HasPrefix(line, "Running as user") {
			t.Errorf("tshark complains: %s", line)
		}
	}
	return stdout.String()
}

// TestKernelReportFolder: everything is there, an earlier report is replaced, and what is no report is left alone.
func TestKernelReportFolder(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		const name = "flush-single-backend"
		for range 2 {
			_, dir := b.reported(t, name)
			want := []string{"packets.pcapng", "report.html", "report.txt", "result.json", "rules-master-after.txt", "rules-master-before.txt",
				"rules-node1-after.txt", "rules-node1-before.txt"}
			for _, file := range want {
				if data, err := os.ReadFile(filepath.Join(dir, file)); err != nil || len(data) == 0 {
					t.Errorf("%s: %d bytes, %v", file, len(data), err)
				}
			}
			if got := systemtest.Folder(t, filepath.Dir(dir)); len(got) != 1 {
				t.Errorf("beside the report: %v", got)
			}
		}
		foreign := filepath.Join(b.Tmp, "foreign", name)
		if err := os.MkdirAll(foreign, 0o755); err != nil {
			t.Fatal(err)
		}
		_, stderr, code := b.Run(t, "run", name, "--report", filepath.Dir(foreign))
		if code != cmdline.ExitUsage || !strings.Contains(stderr, "is no report of ctsim's") {
			t.Errorf("a folder of somebody else's: exit code %d\n%s", code, stderr)
		}
	})
}

// TestKernelWatchers: what is not watched leaves in doubt what rests on it, and nothing else.
func TestKernelWatchers(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	for sources, want := range map[string]int{"all": cmdline.ExitPass, "none": cmdline.ExitInconclusive, "conntrack,packet": cmdline.ExitPass, "conntrack": cmdline.ExitInconclusive} {
		t.Run(sources, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := b.Run(t, "run", "flush-multi-backend", "--watch", sources, "--output", "json")
			if code != want {
				t.Fatalf("exit code %d, want %d\n%s", code, want, stderr)
			}
			var r result.Result
			if err := json.Unmarshal([]byte(stdout), &r); err != nil {
				t.Fatal(err)
			}
			for _, o := range r.Timeline {
				watched := sources == "all" || slices.Contains(strings.Split(sources, ","), o.Source)
				if slices.Contains(evidence.Sources, evidence.Source(o.Source)) && !watched {
					t.Errorf("not watched, and seen: %+v", o)
					break
				}
			}
		})
	}
}
