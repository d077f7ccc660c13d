package program

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/internal/kerneltest"
	"github.com/ctsim/ctsim/probe/socket"
	"github.com/ctsim/ctsim/topology"
)

// pod is a namespace with nothing but loopback in it.
func pod(t *testing.T) *topology.Namespace {
	t.Helper()
	kerneltest.Need(t)
	lab, err := topology.Up(context.Background(), topology.Plan{
		Network: netip.MustParsePrefix("192.168.122.0/24"),
		Nodes: []topology.Node{{Name: "node", Address: netip.MustParseAddr("192.168.122.20"),
			PodCIDR: netip.MustParsePrefix("172.18.219.0/24"),
			Pods:    []topology.Pod{{Name: "pod", Address: netip.MustParseAddr("172.18.219.65")}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lab.Close() })
	return lab.Namespace("pod")
}

func start(t *testing.T, s Spec) *Program {
	t.Helper()
	ns := pod(t)
	if s.Name == "" {
		s.Name = "pod"
	}
	p, err := Start(ns, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop() })
	return p
}

func text(all []Line) string {
	var b strings.Builder
	for _, l := range all {
		fmt.Fprintf(&b, "%s: %s\n", l.Stream, l.Text)
	}
	return b.String()
}

func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(60 * time.Second):
		t.Fatal("waited in vain: " + what)
	}
}

func TestKernelProgramSeesThePod(t *testing.T) {
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, Spec{Command: `getent hosts myservice myservice.default.svc.cluster.local
cat /etc/resolv.conf | grep -c search
uname -n; echo "$GREETING"; echo "to the other" >&2
touch "$HOME/a" "$TMPDIR/b" && ls "$HOME" "$TMPDIR" | grep -c '^[ab]$'
ip -o addr show eth0 | grep -o 172.18.219.65
test "$(pwd)" = "$HOME" && test "$OLDPWD" = "$WANT" && echo at home
printf 'no line break'`,
		Env: []string{"GREETING=hello", "WANT=" + here}, Hosts: []Host{{netip.MustParseAddr("10.108.33.37"), []string{
			"myservice", "myservice.default", "myservice.default.svc", "myservice.default.svc.cluster.local"}}}})
	wait(t, "its end", p.Done())
	var out, errs []string
	for _, l := range p.Lines() {
		if l.Stream == Stderr {
			errs = append(errs, l.Text)
			continue
		}
		out = append(out, strings.Join(strings.Fields(l.Text), " "))
	}
	names := "10.108.33.37 myservice myservice.default myservice.default.svc myservice.default.svc.cluster.local"
	want := []string{names, names, "1", "pod", "hello", "2", "172.18.219.65", "at home", "no line break"}
	if strings.Join(out, "\n") != strings.Join(want, "\n") || strings.Join(errs, "\n") != "to the other" {
		t.Errorf("got\n%s", text(p.Lines()))
	}
	if e := p.Exit(); e == nil || e.Code != 0 || e.Asked {
		t.Errorf("exit %+v", e)
	}
	if now, err := os.ReadFile("/etc/hosts"); err != nil || string(now) != string(hosts) {
		t.Errorf("the machine's /etc/hosts has changed: %v", err)
	}
}

func TestKernelProgramReadsWhatIsTyped(t *testing.T) {
	got := make(chan string, 10)
	p := start(t, Spec{Command: "while read line; do echo heard $line; done", Output: func(l Line) { got <- l.Text }})
	for _, word := range []string{"one", "two"} {
		if err := p.Type(word); err != nil {
			t.Fatal(err)
		}
		if heard := <-got; heard != "heard "+word {
			t.Errorf("%q", heard)
		}
	}
	if e := p.Stop(); !e.Asked || e.Killed || e.Signal != unix.SIGTERM {
		t.Errorf("%+v", e)
	}
	if err := p.Type("three"); err == nil {
		t.Error("typed to a program that has ended")
	}
}

func TestKernelProgramEnds(t *testing.T) {
	for _, c := range []struct{ name, command, want string }{
		{"by itself", "exit 7", "exit code 7"},
		{"not found", "no-such-command-anywhere", "exit code 127 (command not found)"},
		{"not executable", "/etc/passwd", "exit code 126 (not executable)"},
		{"by a signal", "kill -SEGV $$", "ended by signal 11 (segmentation fault)"},
		{"nonsense", "if", "exit code 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := start(t, Spec{Command: c.command})
			wait(t, "its end", p.Done())
			if got := p.Exit().String(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			var ended *Ended
			err := p.Await(context.Background(), pod(t), time.Minute, "it listened on port 80", Listens(80))
			if !errors.As(err, &ended) || !strings.Contains(err.Error(), c.want+" before it listened on port 80") {
				t.Errorf("%v", err)
			}
		})
	}
}

// A program that ignores SIGTERM is killed, and so is what it has started and left behind.
func TestKernelProgramIgnoresSIGTERM(t *testing.T) {
	got := make(chan string, 10)
	p := start(t, Spec{Command: `trap '' TERM; setsid sh -c 'echo $$; while :; do sleep 1000; done' & while :; do sleep 1000; done`,
		Grace: 10 * time.Millisecond, Output: func(l Line) { got <- l.Text }})
	<-got
	if e := p.Stop(); !e.Killed || e.String() != "killed: it ignored SIGTERM" {
		t.Errorf("%+v", e)
	}
	wait(t, "all", p.Done())
}

// A daemon: the command ends well, what it has left goes on until it is stopped.
func TestKernelDaemon(t *testing.T) {
	got := make(chan string, 10)
	p := start(t, Spec{Command: `setsid sh -c 'echo here; sleep 1000' & exit 0`, Output: func(l Line) { got <- l.Text }})
	<-got
	for end := time.Now().Add(60 * time.Second); p.Exit() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain: its command")
		}
	}
	select {
	case <-p.Done():
		t.Error("the daemon has ended")
	default:
	}
	if e := p.Stop(); e.Code != 0 || e.Asked || e.Killed {
		t.Errorf("%+v", e)
	}
}

func TestKernelProgramListens(t *testing.T) {
	ns := pod(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(ns, Spec{Name: "pod", Command: "exec " + self, Env: []string{listenVariable + "=2222"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if err := p.Await(context.Background(), ns, time.Minute, "it listened", Listens(2222)); err != nil {
		t.Fatal(err)
	}
	var inode uint32
	if err := p.Await(context.Background(), ns, time.Minute, "it connected", func(all []socket.Socket) bool {
		i := slices.IndexFunc(all, func(s socket.Socket) bool { return s.State == socket.Established && s.Remote.Port() == 2222 })
		if i >= 0 {
			inode = all[i].Inode
		}
		return i >= 0
	}); err != nil {
		t.Fatal(err)
	}
	got, err := p.Settings(inode)
	want := Settings{KeepAlive: true, Idle: 42 * time.Second, Interval: 7 * time.Second, Count: 3, Process: got.Process, PID: got.PID}
	if err != nil || got != want || got.Process == "" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := p.Settings(1); !errors.Is(err, ErrNotHeld) {
		t.Errorf("%v", err)
	}
	var ended *Ended
	err = p.Await(context.Background(), ns, 0, "it listened on port 2223", Listens(2223))
	if !errors.As(err, &ended) || ended.Exit != nil {
		t.Errorf("%v", err)
	}
}

func TestKernelProgramAsAnotherUser(t *testing.T) {
	p := start(t, Spec{Command: `id -u; id -g; touch "$HOME/x" && echo mine`, User: "nobody"})
	wait(t, "its end", p.Done())
	if got := text(p.Lines()); got != "stdout: 65534\nstdout: 65534\nstdout: mine\n" {
		t.Error(got)
	}
	ns := pod(t)
	if _, err := Start(ns, Spec{Name: "pod", Command: "id", User: "no-such-user"}); err == nil || !strings.Contains(err.Error(), "no-such-user") {
		t.Errorf("%v", err)
	}
}

func TestKernelManyPrograms(t *testing.T) {
	ns := pod(t)
	before := descriptors(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			p, err := Start(ns, Spec{Name: "pod", Command: "sleep 1000"})
			if err != nil {
				t.Error(err)
				return
			}
			p.Stop()
		})
	}
	group.Wait()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
