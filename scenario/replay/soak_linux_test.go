package replay

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// held is what this process holds of things that have to be given back.
type held struct{ goroutines, descriptors, threads, heap int }

// holds waits until no goroutine is left that was not there before, for the kernel lets go of some sockets later.
func holds(t *testing.T, before held) held {
	t.Helper()
	var now held
	for give := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		now = held{goroutines: runtime.NumGoroutine(), descriptors: openFiles(t)}
		if before == (held{}) || now.goroutines <= before.goroutines && now.descriptors <= before.descriptors || time.Now().After(give) {
			break
		}
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	now.threads, now.heap = len(tasks), int(m.HeapAlloc)
	return now
}

// active is how many objects the kernel holds in a cache, 0 if it does not tell.
func active(cache string) int {
	text, _ := os.ReadFile("/proc/slabinfo")
	m := regexp.MustCompile(`(?m)^` + cache + ` +(\d+)`).FindSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(m[1])) // digits
	return n
}

// TestKernelSoak: after many runs, one by one and side by side, this process holds no goroutine, descriptor, thread or memory more
// than after a few, and every run has passed. CTSIM_TEST_SOAK says how many runs instead of 8; with 100 or more the kernel's
// own caches are looked at too, which takes a machine that does nothing else.
func TestKernelSoak(t *testing.T) {
	needKernel(t)
	runs := 8
	if n := os.Getenv("CTSIM_TEST_SOAK"); n != "" {
		var err error
		if runs, err = strconv.Atoi(n); err != nil {
			t.Fatalf("CTSIM_TEST_SOAK=%s: %v", n, err)
		}
	}
	p := builtin.Plan(t, builtin.Find(t, "flush-multi-backend"))
	one := func() error {
		e, err := Run(context.Background(), p, Options{})
		if err != nil {
			return err
		}
		if r := result.New(p, e); r.Verdict != verdict.Pass {
			return fmt.Errorf("%s: %s", r.Verdict, r.Reason)
		}
		return nil
	}
	series := func(runs int) {
		const together = 4
		for i := 0; i < runs; i += together {
			var wait sync.WaitGroup
			for range min(together, runs-i) {
				wait.Go(func() {
					if err := one(); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
		}
	}
	series(8) // what is made once is made, and the runtime has its threads
	namespaces, entries := active("net_namespace"), active("nf_conntrack")
	before := holds(t, held{})
	series(runs)
	after := holds(t, before)
	t.Logf("before %+v, after %d runs %+v", before, runs, after)
	if after.goroutines > before.goroutines || after.descriptors > before.descriptors {
		t.Errorf("goroutines or descriptors are left: %+v, then %+v", before, after)
	}
	if after.threads > before.threads+runtime.NumCPU()+8 {
		t.Errorf("threads: %d, then %d", before.threads, after.threads)
	}
	if after.heap > before.heap+8<<20 {
		t.Errorf("heap: %d bytes, then %d", before.heap, after.heap)
	}
	if runs < 100 {
		return
	}
	grown := func(cache string, was int) bool {
		const slack = 64 // what the last runs have left on its way out
		for give := time.Now().Add(30 * time.Second); active(cache) > was+slack; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(give) {
				return true
			}
		}
		return false
	}
	if grown("net_namespace", namespaces) || grown("nf_conntrack", entries) {
		t.Errorf("the kernel holds %d namespaces and %d entries, before %d and %d", active("net_namespace"), active("nf_conntrack"), namespaces, entries)
	}
}
