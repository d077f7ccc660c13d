package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/probe/audit"
	"github.com/ctsim/ctsim/topology"
)

// hostileName is what a process may call itself: a line break, colours, the end of a field of /proc/PID/stat.
const hostileName = "a\n\x1b[31m) S 1 b"

// newAuditedHost is a namespace that tracks, with a service on its loopback and three connections through it that nobody
// but the test has: without keepalive, with the kernel's 7200 s, and with 60 s.
func newAuditedHost(t *testing.T) *topology.Namespace {
	t.Helper()
	ns, err := topology.NewNamespace("node")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	for _, line := range []string{
		"ip link set lo up",
		"iptables -w -A INPUT -m conntrack --ctstate NEW -j ACCEPT",
		"iptables -w -t nat -A OUTPUT -d 127.0.0.100 -p tcp --dport 2222 -j DNAT --to-destination 127.0.0.2:2222",
		"sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established=600",
	} {
		inNamespace(t, ns, strings.Fields(line)...)
	}
	var server net.Listener
	check(t, ns.Do(func() (err error) { server, err = net.Listen("tcp4", "127.0.0.2:2222"); return err }))
	t.Cleanup(func() { _ = server.Close() })
	for _, keepalive := range []net.KeepAliveConfig{{}, {Enable: true, Idle: 7200 * time.Second}, {Enable: true, Idle: time.Minute}} {
		fd := -1
		check(t, ns.Do(func() (err error) {
			fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			return err
		}))
		t.Cleanup(func() { _ = unix.Close(fd) })
		if keepalive.Enable {
			check(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
			check(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(keepalive.Idle.Seconds())))
		}
		check(t, unix.Connect(fd, &unix.SockaddrInet4{Port: 2222, Addr: [4]byte{127, 0, 0, 100}}))
	}
	return ns
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func inNamespace(t *testing.T, ns *topology.Namespace, args ...string) string {
	t.Helper()
	var out []byte
	err := ns.Do(func() (err error) {
		out, err = exec.Command(args[0], args[1:]...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// runIn runs ctsim with a namespace as the one it is started in.
func (b *binary) runIn(t *testing.T, ns *topology.Namespace, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	check(t, ns.Do(func() error { stdout, stderr, code = b.Run(t, args...); return nil }))
	return stdout, stderr, code
}

// TestKernelAudit: what root sees and what nobody sees, and what both are told of what they do not see.
func TestKernelAudit(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		ns := newAuditedHost(t)
		stdout, stderr, code := b.runIn(t, ns, "audit", "--output", "json", "--port", "2222")
		var r audit.Report
		if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 || stderr != "" {
			t.Fatalf("exit code %d, %v: %s", code, err, stderr)
		}
		root := b.Who.UID == 0
		blind := strings.Contains(strings.Join(r.Missing, "\n"), "CAP_BPF")
		verdicts := map[audit.Reason]int{}
		for _, c := range r.Namespaces[0].Connections {
			verdicts[c.Reason]++
			if got := c.Process != nil && c.Process.PID == os.Getpid(); got != root && c.Remote.Port() == 2222 {
				t.Errorf("%s: process %+v", c.Local, c.Process)
			}
			if (len(c.Entries) == 1) != root || c.Estimated == root || c.LeftS == nil || *c.LeftS > 600 {
				t.Errorf("%s: %+v", c.Local, c)
			}
		}
		// Three clients and three servers; the server of the one that probes is refreshed by it.
		want := map[audit.Reason]int{audit.NoKeepalive: 2, audit.ProbeTooLate: 2, audit.ProbeInTime: 1, audit.PeerProbes: 1}
		switch {
		case !root:
			want = map[audit.Reason]int{audit.NoKeepalive: 4, audit.ProbeTooLate: 1, audit.ProbeUncertain: 1}
		case blind:
			want = map[audit.Reason]int{audit.NoKeepalive: 2, audit.ProbeTooLate: 2, audit.ProbeUncertain: 2}
		}
		if diff := cmp.Diff(want, verdicts); diff != "" {
			t.Errorf("-want +got:\n%s%s", diff, stdout)
		}
		said := strings.Join(append(r.Missing, r.Namespaces[0].Problems...), "\n")
		for _, what := range []string{"CAP_NET_ADMIN", "processes that may not be looked into"} {
			if strings.Contains(said, what) == root && !(root && what != "CAP_NET_ADMIN") {
				t.Errorf("%q: %s", what, said)
			}
		}
		if _, _, code := b.runIn(t, ns, "audit", "--fail-on", "risk", "--quiet"); code != cmdline.ExitFail {
			t.Errorf("--fail-on risk: exit code %d", code)
		}
	})
}

// TestKernelAuditForbidden: another user's process is not looked at, and that is said.
func TestKernelAuditForbidden(t *testing.T) {
	b := newBinary(t, systemtest.Callers[1])
	stdout, stderr, code := b.Run(t, "audit", "--pid", fmt.Sprint(os.Getpid()))
	if code != cmdline.ExitUnsupported || stdout != "" || !strings.Contains(stderr, "may not be looked at") || !strings.Contains(stderr, "hint: sudo "+b.Path+" audit --pid") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

// TestKernelAuditHostileName: a process's name writes nothing to the terminal but its letters.
func TestKernelAuditHostileName(t *testing.T) {
	ns := newAuditedHost(t)
	b := newBinary(t, systemtest.Callers[0])
	bash, err := exec.LookPath("bash")
	check(t, err)
	named := filepath.Join(t.TempDir(), hostileName) // the kernel takes the name from the file's
	check(t, os.Symlink(bash, named))
	holder := exec.Command(named, "-c", `exec 3<>/dev/tcp/127.0.0.2/2222; echo ready; read`)
	stdin, err := holder.StdinPipe()
	check(t, err)
	stdout, err := holder.StdoutPipe()
	check(t, err)
	check(t, ns.Do(holder.Start))
	defer func() { _, _ = stdin.Close(), holder.Wait() }()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatal(line, err)
	}
	text, stderr, code := b.runIn(t, ns, "audit", "--pid", fmt.Sprint(holder.Process.Pid))
	if want := fmt.Sprintf("%d/a �[31m) S 1 b  ", holder.Process.Pid); code != 0 || !strings.Contains(text, want) || strings.Contains(text, "\x1b") {
		t.Errorf("exit code %d, no %q in\n%s%s", code, want, text, stderr)
	}
	text, _, _ = b.runIn(t, ns, "audit", "--pid", fmt.Sprint(holder.Process.Pid), "--output", "json")
	var r audit.Report
	check(t, json.Unmarshal([]byte(text), &r))
	if c := r.Namespaces[0].Connections; len(c) != 1 || c[0].Process.Name != hostileName {
		t.Errorf("%+v", c)
	}
}

// TestKernelAuditWritesNothing: rules, sysctls and entries of what is looked at are the same afterwards, and those of the
// namespace that it is done from.
func TestKernelAuditWritesNothing(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		ns := newAuditedHost(t)
		leavings, before := systemtest.LeavingsNow(t), auditedNow(t, ns)
		for _, args := range [][]string{{"audit"}, {"audit", "--all-netns", "--output", "json"}, {"audit", "--pid", "1"}} {
			if _, stderr, code := b.runIn(t, ns, args...); code != 0 && code != cmdline.ExitUnsupported {
				t.Errorf("%v: exit code %d: %s", args, code, stderr)
			}
		}
		if diff := cmp.Diff(before, auditedNow(t, ns)); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
		b.LeavesNothing(t, leavings)
	})
}

var timeLeft = regexp.MustCompile(`(?m)^(tcp +6) \d+`)

// auditedNow is all of a namespace that an audit might change.
func auditedNow(t *testing.T, ns *topology.Namespace) map[string]string {
	t.Helper()
	now := map[string]string{}
	for _, command := range []string{"iptables-save", "ip6tables-save", "ip -o address", "ip route"} {
		now[command] = savedRules.ReplaceAllString(inNamespace(t, ns, strings.Fields(command)...), "")
	}
	now["conntrack"] = timeLeft.ReplaceAllString(inNamespace(t, ns, "conntrack", "-L"), "$1")
	now["sockets"] = inNamespace(t, ns, "ss", "-tanH")
	check(t, ns.Do(func() error {
		return filepath.WalkDir("/proc/sys/net", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			value, err := os.ReadFile(path)
			if err != nil {
				value = fmt.Append(nil, err)
			}
			now[path] = string(value)
			return nil
		})
	}))
	if modules, err := os.ReadFile("/proc/modules"); err == nil {
		now["modules"] = string(modules)
	}
	return now
}

// TestKernelAuditWatch: it looks again and again, and Ctrl-C ends it without a word.
func TestKernelAuditWatch(t *testing.T) {
	forEachCaller(t, func(t *testing.T, b *binary) {
		ns := newAuditedHost(t)
		cmd := b.Command(context.Background(), "audit", "--watch", "--interval", "100ms", "--output", "json")
		stdout, err := cmd.StdoutPipe()
		check(t, err)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		check(t, ns.Do(cmd.Start))
		lines := json.NewDecoder(stdout)
		for range 3 {
			var r audit.Report
			if err := lines.Decode(&r); err != nil || r.Summary.Connections != 6 {
				t.Errorf("%+v, %v", r.Summary, err)
			}
		}
		check(t, cmd.Process.Signal(unix.SIGINT))
		for lines.Decode(new(audit.Report)) == nil {
		}
		if code := systemtest.ExitCode(t, cmd.Wait()); code != 130 || stderr.Len() > 0 {
			t.Errorf("exit code %d, %q", code, &stderr)
		}
		// With --fail-on it ends by itself.
		if text, _, code := b.runIn(t, ns, "audit", "--watch", "--fail-on", "risk"); code != cmdline.ExitFail || !strings.Contains(text, "no probe ever comes") {
			t.Errorf("exit code %d\n%s", code, text)
		}
	})
}

// TestKernelAuditForeignNamespace: a namespace that may be opened but not entered is said to be so, as the one to look at
// and as the node of another.
func TestKernelAuditForeignNamespace(t *testing.T) {
	b := newBinary(t, systemtest.Callers[1])
	ns := newAuditedHost(t)
	const at = "/proc/self/fd/3"
	for _, c := range []struct {
		args []string
		code int
		on   string
	}{
		{[]string{"--netns", at}, cmdline.ExitUnsupported, "CAP_SYS_ADMIN"},
		{[]string{"--netns", at, "--node", at}, cmdline.ExitUnsupported, "CAP_SYS_ADMIN"},
		{[]string{"--node", at}, cmdline.ExitPass, ""},
	} {
		cmd := b.Command(context.Background(), append([]string{"audit"}, c.args...)...)
		cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(duplicate(t, ns.Fd())), at)}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		code := systemtest.ExitCode(t, cmd.Run())
		check(t, cmd.ExtraFiles[0].Close())
		if code != c.code || !strings.Contains(stderr.String(), c.on) || !strings.Contains(strings.Join(strings.Fields(stdout.String()), " "), "operation not permitted") {
			t.Errorf("%v: exit code %d, %q, %q", c.args, code, &stdout, &stderr)
		}
	}
}

func duplicate(t *testing.T, fd int) int {
	t.Helper()
	again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	check(t, err)
	return again
}

// TestKernelAuditFromPod: whoever looks from inside a pod, as in a container, sees no node's table and is not told ok; where
// the node can be found it is, from there too.
func TestKernelAuditFromPod(t *testing.T) {
	b := newBinary(t, systemtest.Callers[0])
	host := newAuditedHost(t)
	pod, err := topology.NewNamespace("pod")
	check(t, err)
	t.Cleanup(func() { _ = pod.Close() })
	for _, line := range []string{
		fmt.Sprintf("ip link add veth-pod type veth peer name eth0 netns /proc/%d/fd/%d", os.Getpid(), pod.Fd()),
		"ip address add 10.0.0.1/24 dev veth-pod", "ip link set veth-pod up",
	} {
		inNamespace(t, host, strings.Fields(line)...)
	}
	for _, line := range []string{"ip link set lo up", "ip address add 10.0.0.2/24 dev eth0", "ip link set eth0 up"} {
		inNamespace(t, pod, strings.Fields(line)...)
	}
	var server net.Listener
	check(t, host.Do(func() (err error) { server, err = net.Listen("tcp4", "10.0.0.1:3333"); return err }))
	t.Cleanup(func() { _ = server.Close() })
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute}}
	var client net.Conn
	check(t, pod.Do(func() (err error) { client, err = dialer.Dial("tcp4", "10.0.0.1:3333"); return err }))
	t.Cleanup(func() { _ = client.Close() })
	look := func(words ...string) audit.Connection {
		t.Helper()
		var r audit.Report
		out := inNamespace(t, pod, append(words, b.Path, "audit", "--output", "json")...)
		if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Namespaces) != 1 || len(r.Namespaces[0].Connections) != 1 {
			t.Fatalf("%v: %s", err, out)
		}
		return r.Namespaces[0].Connections[0]
	}
	if c := look(); len(c.Entries) != 1 || c.Keepalive.Own && c.Verdict != audit.OK {
		t.Errorf("in sight of the node: %s (%s): %s", c.Verdict, c.Reason, c.Why)
	}
	hidden := []string{"unshare", "--mount", "--pid", "--fork", "--mount-proc"}
	c := look(hidden...)
	if c.Keepalive.Own && c.Reason != audit.NodeUnread || c.Verdict != audit.Unknown || c.Command == "" {
		t.Errorf("as in a container: %s (%s): %s, %q", c.Verdict, c.Reason, c.Why, c.Command)
	}
	// A container's root has fewer capabilities, and nothing is gained by sudo in it.
	c = look(append(hidden, "setpriv", "--bounding-set=-sys_admin,-net_admin,-sys_ptrace,-bpf,-perfmon")...)
	if c.Verdict != audit.Unknown || !strings.Contains(c.Command, "on the node itself") {
		t.Errorf("as in a container, without capabilities: %s (%s): %s, %q", c.Verdict, c.Reason, c.Why, c.Command)
	}
	inNamespace(t, host, "conntrack", "-F")
	if c := look(); c.Verdict == audit.OK || len(c.Entries) != 0 {
		t.Errorf("flushed: %s (%s): %s", c.Verdict, c.Reason, c.Why)
	}
}
