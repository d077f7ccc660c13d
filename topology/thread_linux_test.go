package topology

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/internal/kerneltest"
)

// waysIn are the two ways into a namespace, each with a function to run there; without privileges there is Do in the
// namespace one is in already.
func waysIn(t *testing.T) map[string]func(func() error) error {
	t.Helper()
	here, err := CurrentNamespace("here")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = here.Close() })
	ways := map[string]func(func() error) error{"here": here.Do}
	if os.Geteuid() != 0 {
		return ways
	}
	pod, err := NewNamespace("pod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pod.Close() })
	ways["pod"] = pod.Do
	ways["pod inside pod"] = func(f func() error) error { return pod.Do(func() error { return pod.Do(f) }) }
	return ways
}

func failOnPurpose(err error) error { panic(err) }

// TestPanicInsideANamespace: it is the caller's panic, with the value and the stack of where it happened.
func TestPanicInsideANamespace(t *testing.T) {
	why := errors.New("on purpose")
	for name, do := range waysIn(t) {
		t.Run(name, func(t *testing.T) {
			defer func() {
				p, ok := recover().(*Panic)
				if !ok || p.Value != any(why) || !errors.Is(p, why) {
					t.Fatalf("recovered %v, want a *Panic of %v", p, why)
				}
				for _, want := range []string{"on purpose", "topology.failOnPurpose", "thread_linux_test.go:"} {
					if !strings.Contains(p.Error(), want) {
						t.Errorf("the message has no %q:\n%s", want, p)
					}
				}
				if n := strings.Count(p.Error(), "inside a namespace"); n != 1 {
					t.Errorf("wrapped %d times:\n%s", n, p)
				}
			}()
			_ = do(func() error { return failOnPurpose(why) })
			t.Error("Do returned")
		})
	}
}

// TestGoexitInsideANamespace: it ends the caller, whose deferred functions run, and does not hang.
func TestGoexitInsideANamespace(t *testing.T) {
	for name, do := range waysIn(t) {
		t.Run(name, func(t *testing.T) {
			ended := make(chan bool, 1)
			go func() {
				returned := false
				defer func() { ended <- returned || recover() != nil }()
				_ = do(func() error { runtime.Goexit(); return nil })
				returned = true
			}()
			select {
			case wrong := <-ended:
				if wrong {
					t.Error("Do returned or panicked")
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it hangs")
			}
		})
	}
}

// TestKernelThreadsStayOut: however a function ends inside a namespace, no thread is left there that other goroutines
// could get.
func TestKernelThreadsStayOut(t *testing.T) {
	kerneltest.Need(t)
	pod, err := NewNamespace("pod")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pod.Close() }()
	for range 20 {
		for _, end := range []func() error{func() error { return nil }, func() error { return failOnPurpose(nil) },
			func() error { runtime.Goexit(); return nil }} {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer func() { _ = recover() }()
				_ = pod.Do(end)
			}()
			<-ended
		}
	}
	inside := fmt.Sprintf("net:[%d]", pod.Inode())
	for wait := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // a thread takes a moment to end
		left := threadsIn(t, inside)
		if left == 0 {
			return
		}
		if time.Now().After(wait) {
			t.Fatalf("%d threads are still in the namespace", left)
		}
	}
}

// threadsIn counts the threads of this process whose network namespace it is.
func threadsIn(t *testing.T, namespace string) (n int) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil || len(tasks) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	for _, task := range tasks {
		if link, err := os.Readlink(task); err == nil && link == namespace {
			n++
		}
	}
	return n
}
