package labs

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/internal/kerneltest"
)

// everyCall has a lab's commands killed at every call that changes a file system, and not only at the first of its kind.
var everyCall = os.Getenv("CTSIM_TEST_LONG") == "1"

// killPoints are the calls to be killed at, by number: all of them, or some, from the first to the last.
func killPoints(calls []string, some int) (points []int) {
	step := 1
	if !everyCall {
		step = max(1, (len(calls)-1)/(some-1))
	}
	for n := 1; n <= len(calls); n += step {
		points = append(points, n)
	}
	return points
}

// files is what there is on the machine besides processes: files where labs leave some, and mounts. (/run/mount is umount's.)
func (m *machine) files(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), systemtest.Patience)
	defer cancel()
	where := strings.TrimSuffix(m.store(), "/ctsim")
	out, err := m.Other(ctx, "sh", "-c", "find "+where+" -path /run/mount -prune -o -print | sort; cut -d' ' -f5 /proc/self/mountinfo | sort").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestKernelLabKilled: `lab up`, `lab down` and `clean`, killed at any call that changes a file system, leave what `clean`
// takes away, or a lab that is up; what it says is removed is gone; and then the command can be given again. It takes
// minutes, so that without CTSIM_TEST_LONG=1 only some calls are tried.
func TestKernelLabKilled(t *testing.T) {
	t.Parallel()
	forEachMachine(t, func(t *testing.T, m *machine) {
		t.Parallel()
		some := 6
		if m.Who.UID != 0 {
			some = 3
		}
		before := m.files(t)
		kills := 0
		killed := func(n int, args ...string) kerneltest.Traced {
			kills++
			return kerneltest.KillAt(t, m.Command(context.Background(), args...), n)
		}
		// Each `lab up` that has to work again is what the next `lab down` is killed at.
		ups, downs := killed(0, "lab", "up").Calls, killed(0, "lab", "down").Calls
		upAt, downAt := killPoints(ups, some), killPoints(downs, some)
		for i := range max(len(upAt), len(downAt)) {
			n := upAt[i%len(upAt)]
			traced := killed(n, "lab", "up")
			m.cleanAfter(t, fmt.Sprintf("lab up, killed at call %d of %q", n, traced.Calls), before)
			m.Must(t, "lab", "up")
			n = downAt[i%len(downAt)]
			traced = killed(n, "lab", "down")
			m.cleanAfter(t, fmt.Sprintf("lab down, killed at call %d of %q", n, traced.Calls), before)
		}
		most := len(ups) - 2 // every name is there, and the record does not say so yet
		killed(most, "lab", "up")
		for _, n := range killPoints(killed(0, "clean").Calls, some) {
			killed(most, "lab", "up")
			traced := killed(n, "clean")
			m.cleanAfter(t, fmt.Sprintf("clean, killed at call %d of %q", n, traced.Calls), before)
		}
		m.Must(t, "lab", "up")
		m.Must(t, "lab", "down")
		if now := m.files(t); now != before {
			t.Errorf("there is\n%s\nand was\n%s", now, before)
		}
		t.Logf("%d calls of lab up, %d of lab down; %d commands were killed", len(ups), len(downs), kills)
		systemtest.Eventually(t, "processes are left", func() any { return m.Alive(t) }, func(v any) bool { return len(v.([]string)) == 0 })
	})
}

// cleanAfter cleans, and holds that nothing is left but a whole lab, which it takes down.
func (m *machine) cleanAfter(t *testing.T, where, before string) {
	t.Helper()
	said, errs, code := m.Run(t, "clean")
	if code != 0 || errs != "" {
		t.Fatalf("%s: clean: exit code %d\n%s%s", where, code, said, errs)
	}
	for _, l := range m.labs(t) {
		if l.State != "up" {
			t.Fatalf("%s: after clean a lab is %+v\n%s", where, l, said)
		}
		m.Must(t, "lab", "down", l.Name)
	}
	if now := m.files(t); now != before {
		t.Fatalf("%s: clean says\n%s\nand there is\n%s\nwhere there was\n%s", where, said, now, before)
	}
	if again := m.Must(t, "clean"); again != "nothing to clean\n" {
		t.Fatalf("%s: clean again: %s", where, again)
	}
}
