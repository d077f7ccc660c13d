package scenario_test

import (
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/byhand"
)

// What reading a file may cost, and everything that is made of it without a kernel: all bytes that are allocated, those that
// are given back again too, and the processor's time. The first is several times what is ever in use at once.
const (
	mostAllocated = 512 << 20
	mostTime      = 10 * time.Second
)

// FuzzCost: whatever the file, there is a library or there are problems, not too many, and neither memory nor time is
// taken for it. Unit is repeated n times, so that a few bytes are enough to be a file that is large or deep in its own way.
func FuzzCost(f *testing.F) {
	const head = "scenarios:\n- name: x\n  title: t\n  steps: [connect, send]\n  expect: {outcome: survived}\n"
	for _, unit := range []string{"[", "]", "{a: ", "- ", "-\n", "- a\n", "- a: 1\n", "? ", "? a\n", ": ", "a: |\n a\n", "\"\" ", "'", "\"\\x", "%", "%a\n", "---\n",
		"...\n", "&a ", "*a ", "!t ", "#\n", ",", "[],", "a: b\n", "\t", "\n", "\r\n", "\x00", "\\n", "<<: a\n", "{x: 1}, ", "\xff", "é\n", "@", "`", "a", "- &a x\n"} {
		f.Add("", unit, "", uint32(1<<20))
		f.Add("scenarios:\n", unit, "", uint32(10_000)) // as many as there may be, if it counts as five
		f.Add(head+"  see: ", unit, "\n", uint32(49_000))
	}
	for _, list := range []string{"{exec: {in: master, command: [a]}},", "{repeat: {times: 1000, steps: [send]}},", "{repeat: {times: 2, steps: [", "send,",
		"{remove-endpoints: serving},", "{connect: {more: true}},", "{wait: {packet: {flag: RST}}},", "{kill-pod: server-1},"} {
		f.Add("scenarios: [{name: x, title: t, world: {backends: 250}, expect: {outcome: survived}, steps: [connect,", list, "]}]", uint32(980))
	}
	f.Add("scenarios: [{name: x, title: t, steps: [connect], expect: {outcome: survived, alternatives: [", "{reason: a, expect: {outcome: reset}},", "]}}]", uint32(19))
	f.Add("scenarios: [{name: x, title: t, steps: [connect], expect: {outcome: survived, exec: [", "{number: 1},", "]}}]", uint32(4000))
	f.Add("scenarios: [", "{name: x, title: t, steps: [connect], expect: {outcome: survived}},", "]", uint32(1000))
	f.Fuzz(func(t *testing.T, begin, unit, end string, n uint32) {
		n %= 1<<20 + 1
		if len(unit) > 0 {
			n = min(n, uint32((1<<20)/len(unit)))
		}
		data := []byte(begin + strings.Repeat(unit, int(n)) + end)
		allocated, took := costOf(func() { use(t, data) })
		if allocated > mostAllocated || took > mostTime {
			t.Errorf("%d bytes of %q, %d times %.100q, %q: %d MB allocated, %v", len(data), begin, n, unit, end, allocated>>20, took)
		}
	})
}

// use does with a file what `validate`, `list`, `show` and `script` do.
func use(t *testing.T, data []byte) {
	lib, err := scenario.Parse("f", data)
	if err != nil {
		var problems scenario.Problems
		if text := err.Error(); !errors.As(err, &problems) || len(problems) > 101 || text == "" || len(text) > 101*2000 {
			t.Errorf("%d problems: %.1000q", len(problems), text)
		}
		return
	}
	for i, s := range lib.Scenarios {
		if i == 10 {
			break // a command is for one
		}
		plan, err := s.Plan(scenario.Size{})
		if err != nil {
			continue
		}
		_ = plan.Describe()
		if _, err := plan.JSON(); err != nil {
			t.Error(err)
		}
		_, _ = byhand.Script(plan) // an error is about the scenario
	}
}

// costOf is what a function allocates, and how long it keeps the processor busy.
func costOf(f func()) (allocated uint64, took time.Duration) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun := processorTime()
	f()
	took = processorTime() - begun
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, took
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestCostIsMeasured: the oracle sees memory and time that are taken.
func TestCostIsMeasured(t *testing.T) {
	var kept []byte
	allocated, took := costOf(func() {
		kept = make([]byte, 50<<20)
		for begun := processorTime(); processorTime()-begun < 50*time.Millisecond; {
		}
	})
	if len(kept) == 0 || allocated < 50<<20 || took < 50*time.Millisecond {
		t.Errorf("%d bytes, %v", allocated, took)
	}
}
