package replay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
	"github.com/ctsim/ctsim/scenario/builtin"
)

// worldOf is a plan that opens connections in a world.
func worldOf(t *testing.T, world string) *scenario.Plan {
	t.Helper()
	lib, err := scenario.Parse("f", []byte("scenarios:\n  - name: many\n    title: t\n    world: "+world+
		"\n    steps: [connect, send, flush, send]\n    expect: {outcome: survived}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return builtin.Plan(t, lib.Scenarios[0])
}

// TestKernelDescriptorsArePlanned: a run holds no more descriptors open than were planned, and not many fewer: else it
// would be refused where there is room.
func TestKernelDescriptorsArePlanned(t *testing.T) {
	needKernel(t)
	for _, world := range []string{"{backends: 1}", "{backends: 50, nodes: 5}", "{backends: 1, connections: 300}",
		"{backends: 1, connections: 300, service: {protocol: UDP}}"} {
		p := worldOf(t, world)
		before, peak := openFiles(t), 0
		_, err := Run(context.Background(), p, Options{Before: func(context.Context, *Pause) error {
			peak = max(peak, openFiles(t)-before)
			return nil
		}})
		if plan := Descriptors(p); err != nil || peak > plan || peak < plan-200 {
			t.Errorf("%s: %d descriptors are open, %d were planned (%v)", world, peak, plan, err)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// limited runs this test binary again with a limit on descriptors and gives its output.
func limited(t *testing.T, limit int, run string, env ...string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" -test.run "$1" -test.v`, limit), os.Args[0], "^"+run+"$")
	cmd.Env = append(os.Environ(), append(env, "CTSIM_TEST_CHILD=1")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("limit %d: %v\n%s", limit, err, out)
	}
	return string(out)
}

// TestKernelTooFewDescriptors: 4000 connections at 4096 and 1500 at 1024 are refused before anything is built, with the
// number; 300 at 1024 run.
func TestKernelTooFewDescriptors(t *testing.T) {
	needKernel(t)
	if os.Getenv("CTSIM_TEST_CHILD") != "" {
		_, err := Run(context.Background(), worldOf(t, "{backends: 1, connections: "+os.Getenv("CTSIM_TEST_CONNECTIONS")+"}"), Options{})
		var no *build.Unsupported
		fmt.Printf("unsupported: %v: %v\n", errors.As(err, &no), err)
		return
	}
	for _, c := range []struct {
		limit, connections int
		want               string
	}{{4096, 4000, "unsupported: true: 8"}, {1024, 1500, "unsupported: true: 3"}, {1024, 300, "unsupported: false: <nil>"}} {
		out := limited(t, c.limit, t.Name(), fmt.Sprintf("CTSIM_TEST_CONNECTIONS=%d", c.connections))
		refusal := fmt.Sprintf("for %d connections and 4 namespaces, %d are allowed", c.connections, c.limit)
		if !strings.Contains(out, c.want) || strings.Contains(c.want, "true") != strings.Contains(out, refusal) {
			t.Errorf("%d connections at %d: %s", c.connections, c.limit, out)
		}
	}
}

// TestKernelOutOfDescriptors: when they run out all the same, the run ends as unsupported, and at once: it is no
// connection's timeout and no wait without end, whichever side it meets.
func TestKernelOutOfDescriptors(t *testing.T) {
	needKernel(t)
	if os.Getenv("CTSIM_TEST_CHILD") != "" {
		r, err := newRun(worldOf(t, "{backends: 1, connections: 400}"), Options{}) // without roomFor
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.do(context.Background())
		var no *build.Unsupported
		fmt.Printf("unsupported: %v: %v\n", errors.As(err, &no), err)
		return
	}
	for _, limit := range []int{300, 600, 700} {
		out := limited(t, limit, t.Name())
		if !strings.Contains(out, "unsupported: true") || !strings.Contains(out, "too many open files") {
			t.Errorf("limit %d: %s", limit, out)
		}
	}
}

// TestLackingIsNoOutcome: what ctsim lacks is no report of a connection; what a connection meets is.
func TestLackingIsNoOutcome(t *testing.T) {
	for err, want := range map[error]int{unix.EMFILE: 0, unix.ENFILE: 0, os.NewSyscallError("socket", unix.EMFILE): 0, unix.ECONNRESET: 1, unix.ETIMEDOUT: 1} {
		r := &run{world: &world{plan: &scenario.Plan{}, recorder: newRecorder(evidence.World{}, nil)}}
		r.report(peer.Report{Side: peer.Client, Call: peer.Connect, Err: err})
		if len(r.ev.Reports) != want || (r.lacked() == nil) != (want == 1) {
			t.Errorf("%v: %d reports, %v", err, len(r.ev.Reports), r.lacked())
		}
	}
}
