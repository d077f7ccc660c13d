package labs

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
)

// stranger is a user who is neither root nor the one whose lab it is.
const stranger = 12345

// started starts a command on the machine, waits until it says that it is there, and gives a function that tells whether it
// still is.
func (m *machine) started(t *testing.T, uid uint32, env []string, words ...string) (lives func() bool) {
	t.Helper()
	cmd := m.Other(context.Background(), words...)
	cmd.Env = append(cmd.Env, env...)
	if uid != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe() // its end is the test's
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	systemtest.UntilWritten(t, out, "ready\n")
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		<-ended
	})
	return func() bool {
		select {
		case <-ended:
			return false
		default:
			return true
		}
	}
}

// waiting is a program that is there until it is ended.
var waiting = []string{"sh", "-c", "echo ready; exec cat"}

// TestKernelLabEndsItsOwn: `lab down` ends what is in the lab's pods and what has come from there, and nothing that only
// looks like it: a stranger's process that carries the mark, one that has left for the machine's network, one in a
// namespace that has got a pod's name, be it with the number of the pod's.
func TestKernelLabEndsItsOwn(t *testing.T) {
	t.Parallel()
	m := &machine{systemtest.NewMachine(t, systemtest.Callers[0])}
	m.Must(t, "lab", "up", "own")
	id := regexp.MustCompile(`"id": "([0-9a-f]{32})"`).FindStringSubmatch(m.text(t, "/run/ctsim/own/lab.json"))[1]
	exec := func(words ...string) []string {
		return append(append([]string{m.Path, "lab", "exec", "client", "--"}, words...), waiting...)
	}
	m.shell(t, "ip netns delete ctsim-own-node1 && ip netns add ctsim-own-node1")
	inode := strings.TrimSpace(m.text(t, "/run/netns/ctsim-own-node1", "stat", "--format=%i"))
	m.shell(t, `sed -i 's/"node1": [0-9]*/"node1": `+inode+`/' /run/ctsim/own/lab.json`)
	in := func(pod string) []string {
		return append([]string{"ip", "netns", "exec", "ctsim-own-" + pod}, waiting...)
	}

	type process struct {
		name  string
		mine  bool
		lives func() bool
	}
	all := []process{
		{"in a pod", true, m.started(t, 0, nil, in("server-1")...)},
		{"from lab exec, in a namespace of its own", true, m.started(t, 0, nil, exec("unshare", "--net")...)},
		{"from lab exec, gone to the machine's network", false,
			m.started(t, 0, nil, exec("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", os.Getpid()))...)},
		{"in another namespace of a pod's name", false, m.started(t, 0, nil, in("node1")...)},
	}
	if systemtest.Mapped(t, stranger) {
		outside := &machine{&systemtest.Machine{Binary: m.Binary}}
		all = append(all, process{"a stranger's, which carries the mark", false, outside.started(t, stranger, []string{"CTSIM_LAB_ID=" + id}, waiting...)})
	}
	said := m.Must(t, "lab", "down", "own")
	for _, p := range all {
		if p.mine {
			systemtest.Eventually(t, p.name+": it is not ended", func() any { return p.lives() }, func(v any) bool { return !v.(bool) })
		} else if !p.lives() {
			t.Errorf("%s: it was ended\n%s", p.name, said)
		}
	}
	m.shell(t, "test -e /run/netns/ctsim-own-node1 && ip netns delete ctsim-own-node1 && rmdir /run/netns 2>/dev/null || umount /run/netns; rm -rf /run/ctsim-netns")
}

// text is what a program, cat if none is named, says of a file on the machine.
func (m *machine) text(t *testing.T, file string, words ...string) string {
	t.Helper()
	if len(words) == 0 {
		words = []string{"cat"}
	}
	out, err := m.Other(t.Context(), append(words, file)...).Output()
	if err != nil {
		t.Fatalf("%v %s: %v", words, file, err)
	}
	return string(out)
}
