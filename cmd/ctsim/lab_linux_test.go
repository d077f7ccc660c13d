package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"
)

// forEachMachine runs a test of labs as root and as an ordinary user.
func forEachMachine(t *testing.T, test func(*testing.T, *machine)) {
	for _, who := range callers {
		t.Run(who.name, func(t *testing.T) { test(t, newMachine(t, who)) })
	}
}

// walk is the commands of the README's section, in their order.
var walk = []string{"lab up", "lab events --node master", "lab exec server-1 -- ctsim server", "lab exec server-2 -- ctsim server",
	"lab exec client -- ctsim client 10.108.33.37:2222", "lab flush", "lab sockets", "lab down"}

// walked is a command of the walk, with ctsim where it stands here.
func (m *machine) walked(i int) []string {
	words := strings.Fields(walk[i])
	for j, w := range words {
		if w == "ctsim" {
			words[j] = m.path
		}
	}
	return words
}

// TestWalk: the README has these commands, in this order.
func TestWalk(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n## Do it by hand, in four terminals\n")
	for _, command := range walk {
		_, after, found := strings.Cut(section, "\nctsim "+command+"\n")
		if !found {
			t.Fatalf("README.md does not have, or not in this place: ctsim %s", command)
		}
		section = "\n" + after
	}
}

// TestKernelLabFourTerminals is the walk through the article's reproduction in README.md, in the order of that page:
// each command in a terminal of its own, and what the page says must be seen.
func TestKernelLabFourTerminals(t *testing.T) {
	forEachMachine(t, func(t *testing.T, m *machine) {
		first := m.open(t, m.walked(0)...)
		first.line("lab default is up")
		if code := first.wait(); code != 0 {
			t.Fatalf("lab up: exit code %d", code)
		}
		first.hangUp() // the lab outlives its terminal

		events := m.open(t, m.walked(1)...)
		events.line("listening on master")
		servers := map[string]*terminal{}
		for i, pod := range []string{"server-1", "server-2"} {
			servers[pod] = m.open(t, m.walked(2+i)...)
			servers[pod].line("listening on 0.0.0.0:2222")
		}
		client := m.open(t, m.walked(4)...)
		client.line("connect 10.108.33.37:2222 from 172.18.219.65:")
		backend := backendOf(t, events.line("[NEW]", "SYN_SENT"))
		events.line("[UPDATE]", "ESTABLISHED", "[ASSURED]")
		client.typed("hello")
		client.line("send:", "success")
		servers[podOf[backend]].line("recv:")

		tries := 0
		for rerouted := false; !rerouted; tries++ {
			if tries == 100 {
				t.Fatal("after 100 flushes the flow still goes to the same pod")
			}
			m.must(t, m.walked(5)...)
			events.line("[DESTROY]", "src="+backend, "# flushed")
			client.typed("hello")
			client.line("send:", "success")
			rerouted = backendOf(t, events.line("[NEW]", "300 ESTABLISHED", "[UNREPLIED]")) != backend
			if !rerouted {
				servers[podOf[backend]].line("recv:") // by chance the same pod again: flush and send again
			}
		}
		t.Logf("re-routed by flush %d", tries)
		events.line("[DESTROY]", "CLOSE", "# ended by an RST")
		client.typed("hello")
		client.line("send:", "ECONNRESET")
		if code := client.wait(); code != exitFail {
			t.Errorf("client: exit code %d", code)
		}
		if out := m.must(t, m.walked(6)...); !regexp.MustCompile(podOf[backend] + ` +tcp .* ESTABLISHED off`).MatchString(out) {
			t.Errorf("the old backend's socket is not established without a timer:\n%s", out)
		}
		m.must(t, m.walked(7)...)
		events.line("lab default is down")
		if code := events.wait(); code != 0 {
			t.Errorf("lab events: exit code %d", code)
		}
		for pod, s := range servers {
			if code := s.wait(); code != 143 {
				t.Errorf("server in %s: exit code %d", pod, code)
			}
		}
	})
}

var podOf = map[string]string{"172.18.166.130": "server-1", "172.18.166.131": "server-2"}

// backendOf is the address that an entry's answers come from, the second src= of the line.
func backendOf(t *testing.T, line string) string {
	t.Helper()
	parts := strings.Split(line, "src=")
	if len(parts) != 3 {
		t.Fatalf("not an entry: %s", line)
	}
	address, _, _ := strings.Cut(parts[2], " ")
	if podOf[address] == "" {
		t.Fatalf("no server pod: %s", line)
	}
	return address
}

// TestKernelLabCommands looks at and changes a lab with every command there is.
func TestKernelLabCommands(t *testing.T) {
	forEachMachine(t, func(t *testing.T, m *machine) {
		before := leavingsNow(t)
		m.must(t, "lab", "up", "a", "--backends", "3", "--nodes", "3")
		t.Run("exec", func(t *testing.T) { m.checkExec(t) })
		t.Run("names", func(t *testing.T) {
			out := m.must(t, "lab", "exec", "client", "--", "ip", "netns", "exec", "ctsim-a-server-2", "ip", "-o", "address")
			if !strings.Contains(out, "172.18.168.130/23") {
				t.Errorf("ip netns exec in the lab: %s", out)
			}
		})
		if m.pidless(t) {
			m.shell(t, "test \"$(ip netns exec ctsim-a-client ip -o -4 address show eth0 | wc -l)\" = 1")
		}
		server := m.open(t, "lab", "exec", "server-1", "--", m.path, "server")
		server.line("listening on")
		t.Run("backends", func(t *testing.T) { m.checkBackends(t) })
		t.Run("look", func(t *testing.T) { m.checkLook(t) })
		t.Run("capture", func(t *testing.T) { m.checkCapture(t) })
		m.must(t, "lab", "up", "b")
		if _, errs, code := m.run(t, "lab", "table"); code != exitUsage || !strings.Contains(errs, "there are 2 labs, a, b: which one?") ||
			!strings.Contains(errs, "hint: "+m.path+" lab table --lab a") {
			t.Errorf("two labs: exit code %d\n%s", code, errs)
		}
		m.must(t, "lab", "down", "a", "b")
		if list := m.must(t, "lab", "list", "-o", "name"); list != "" {
			t.Errorf("labs are left: %s", list)
		}
		if now := leavingsNow(t); now != before {
			t.Errorf("the host changed: %+v, before %+v", now, before)
		}
	})
}

func (m *machine) checkExec(t *testing.T) {
	for _, c := range []struct {
		words []string
		code  int
		says  string
	}{
		{[]string{"client", "--", "sh", "-c", "exit 7"}, 7, ""},
		{[]string{"client", "--", "sh", "-c", "kill -TERM $$"}, 143, ""},
		{[]string{"client", "--", "no-such-command"}, 127, "ctsim: no-such-command: "},
		{[]string{"client", "--", "/etc/passwd"}, 126, "ctsim: /etc/passwd: permission denied in client"},
		{[]string{"clinet", "--", "true"}, exitUsage, "(did you mean client?)\nhint: " + m.path + " lab exec client -- true"},
		{[]string{"client", "ls", "-l"}, exitUsage, "hint: " + m.path + " lab exec client -- ls -l"},
		{[]string{"client"}, exitUsage, "needs a pod or node and a command"},
	} {
		_, errs, code := m.run(t, append([]string{"lab", "exec"}, c.words...)...)
		if code != c.code || !strings.Contains(errs, c.says) || c.says == "" && errs != "" {
			t.Errorf("%v: exit code %d, want %d\n%s", c.words, code, c.code, errs)
		}
	}
	out := m.must(t, "lab", "exec", "client", "--", "sh", "-c", "echo $CTSIM_LAB $CTSIM_POD; uname -n; pwd; ls /sys/class/net")
	if out != "a client\nclient\n/\neth0\nlo\n" {
		t.Errorf("exec: %q", out)
	}
	// A command of ctsim's own, typed in a shell of the lab, works in that lab.
	shell := m.open(t, "lab", "shell", "server-2")
	shell.typed(m.path + " lab list -o name; exit 3")
	shell.line("a")
	if code := shell.wait(); code != 3 {
		t.Errorf("shell: exit code %d", code)
	}
}

func (m *machine) checkBackends(t *testing.T) {
	if out := m.must(t, "lab", "backends", "add"); out != "server-4 172.18.168.131 on node2 is an endpoint of the service\n" {
		t.Errorf("add: %s", out)
	}
	m.must(t, "lab", "exec", "client", "--", "sh", "-c", "ip netns exec ctsim-a-server-4 true")
	for _, pod := range []string{"server-2", "server-3"} {
		m.must(t, "lab", "backends", "remove", pod)
	}
	m.must(t, "lab", "backends", "remove", "server-4", "--stop")
	if _, errs, code := m.run(t, "lab", "backends", "remove", "server-4"); code != exitUsage || !strings.Contains(errs, `no pod or node "server-4"`) {
		t.Errorf("removing it again: exit code %d\n%s", code, errs)
	}
	if _, errs, code := m.run(t, "lab", "backends", "add", "server-1"); code != exitUsage || !strings.Contains(errs, "is an endpoint already") {
		t.Errorf("adding an endpoint: exit code %d\n%s", code, errs)
	}
	want := "POD ADDRESS NODE ENDPOINT server-1 172.18.166.130 node1 yes server-2 172.18.168.130 node2 no server-3 172.18.166.131 node1 no"
	if out := m.must(t, "lab", "backends"); strings.Join(strings.Fields(out), " ") != want {
		t.Errorf("backends:\n%s", out)
	}
	for _, node := range []string{"master", "node1", "node2"} {
		rules := m.must(t, "lab", "rules", node)
		if strings.Count(rules, "-j DNAT") != 1 || !strings.Contains(rules, "--to-destination 172.18.166.130:2222") {
			t.Errorf("rules of %s:\n%s", node, rules)
		}
	}
}

// checkLook has one connection to look at, to the only endpoint.
func (m *machine) checkLook(t *testing.T) {
	client := m.open(t, "lab", "exec", "client", "--", m.path, "client", "10.108.33.37", "--keepalive-idle", "60s")
	client.line("connect 10.108.33.37:2222 from 172.18.219.65:")
	var entries []struct {
		Node, State, Backend, Client, To string
		Remaining                        float64 `json:"remaining_s"`
		Flags                            []string
	}
	decode(t, m.must(t, "lab", "table", "--node", "master", "-o", "json"), &entries)
	if len(entries) != 1 || entries[0].Backend != "server-1" || entries[0].To != "10.108.33.37:2222" || entries[0].State != "ESTABLISHED" ||
		entries[0].Remaining > 86400 || entries[0].Remaining < 86000 || fmt.Sprint(entries[0].Flags) != "[ASSURED]" {
		t.Errorf("table: %+v", entries)
	}
	if out := m.must(t, "lab", "table"); !strings.Contains(out, "23h5") || !strings.Contains(out, "server-1") {
		t.Errorf("table:\n%s", out)
	}
	var sockets []struct {
		Pod, State, Timer string
		Expires           float64 `json:"expires_s"`
	}
	decode(t, m.must(t, "lab", "sockets", "client", "-o", "json"), &sockets)
	if len(sockets) != 1 || sockets[0].State != "ESTABLISHED" || sockets[0].Timer != "keepalive" || sockets[0].Expires > 60 {
		t.Errorf("sockets: %+v", sockets)
	}
	if out := m.must(t, "lab", "sockets"); !strings.Contains(out, "keepalive (") || !strings.Contains(out, "LISTEN") {
		t.Errorf("sockets:\n%s", out)
	}
	if out := m.must(t, "lab", "flush", "--node", "master"); out != "master: flushed, 1 entry was in it\n" {
		t.Errorf("flush: %s", out)
	}
	if _, errs, code := m.run(t, "lab", "flush", "--node", "nod1"); code != exitUsage || !strings.Contains(errs, "did you mean node1?") {
		t.Errorf("flush: exit code %d\n%s", code, errs)
	}
	client.hangUp()
	client.wait()
}

// checkCapture reads the packets of a connection as they come, as Wireshark would.
func (m *machine) checkCapture(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := m.command(ctx, "lab", "capture", "client", "server-1", "--write", "-")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	untilWritten(t, errs, "capturing on client, server-1")
	packets, err := pcapgo.NewNgReader(out, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	client := m.open(t, "lab", "exec", "client", "--", m.path, "client", "10.108.33.37")
	at := map[int]int{}
	for at[0] < 3 || at[1] < 3 { // the handshake, at both ends, while the capture goes on
		_, info, err := packets.ReadPacketData()
		if err != nil {
			t.Fatal(err)
		}
		at[info.InterfaceIndex]++
	}
	if i, err := packets.Interface(1); err != nil || i.Name != "server-1" {
		t.Errorf("interface 1: %+v %v", i, err)
	}
	if err := cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = packets.ReadPacketData()
	}
	if code := exitCodeFrom(t, cmd.Wait()); code != 130 {
		t.Errorf("exit code %d", code)
	}
	client.hangUp()
	client.wait()
}

func decode(t *testing.T, text string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), to); err != nil {
		t.Errorf("%v: %s", err, text)
	}
}

// labState is a lab in `lab list -o json`.
type labState struct {
	Name, State, Reason string
	PID                 int
	Namespaces          map[string]string
}

func (m *machine) labs(t *testing.T) (all []labState) {
	t.Helper()
	decode(t, m.must(t, "lab", "list", "-o", "json"), &all)
	return all
}

// TestKernelLabTwoUsers: five labs each, of two users, all at the same time.
func TestKernelLabTwoUsers(t *testing.T) {
	machines := []*machine{newMachine(t, callers[0]), newMachine(t, callers[1])}
	var group sync.WaitGroup
	for i := range 5 {
		for _, m := range machines {
			group.Go(func() {
				if out, errs, code := m.run(t, "lab", "up", fmt.Sprintf("lab-%d", i)); code != 0 {
					t.Errorf("%s: exit code %d\n%s%s", m.who.name, code, out, errs)
				}
			})
		}
	}
	group.Wait()
	for _, m := range machines {
		all := m.labs(t)
		for _, l := range all {
			if l.State != "up" {
				t.Errorf("%s: %+v", m.who.name, l)
			}
			if out := m.must(t, "lab", "exec", "--lab", l.Name, "server-2", "--", "ip", "-o", "address"); !strings.Contains(out, "172.18.166.131") {
				t.Errorf("%s: %s: %s", m.who.name, l.Name, out)
			}
		}
		if len(all) != 5 {
			t.Errorf("%s has %d labs", m.who.name, len(all))
		}
	}
	// One name wanted by many at once: one gets it.
	var mu sync.Mutex
	codes := map[int]int{}
	for range 4 {
		group.Go(func() {
			_, _, code := machines[1].run(t, "lab", "up", "wanted")
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	group.Wait()
	if codes[0] != 1 || codes[exitUsage] != 3 {
		t.Errorf("exit codes of four who want one name: %v", codes)
	}
}

// TestKernelLabAfterACrash: what is left of a lab is told by `lab list`, is refused by other commands, and is what
// `ctsim clean` takes away, and nothing else.
func TestKernelLabAfterACrash(t *testing.T) {
	forEachMachine(t, func(t *testing.T, m *machine) {
		m.must(t, "lab", "up", "broken")
		m.must(t, "lab", "up", "whole")
		// A program in a pod outlives the crash.
		orphan := m.command(context.Background(), "lab", "exec", "--lab", "broken", "client", "--", m.path, "server")
		out, err := orphan.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := orphan.Start(); err != nil {
			t.Fatal(err)
		}
		untilWritten(t, out, "listening on")
		reason := "namespace ctsim-broken-node1 is gone"
		if pid := m.labs(t)[0].PID; pid != 0 {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			reason = fmt.Sprintf("its process %d has ended", pid)
		} else {
			m.shell(t, "umount /run/netns/ctsim-broken-node1 && rm /run/netns/ctsim-broken-node1 && ip netns add ctsim-foreign")
		}
		eventually(t, "the crash is not told", func() any { return m.labs(t) }, func(v any) bool {
			all := v.([]labState)
			return len(all) == 2 && all[0].State == "broken" && all[0].Reason == reason && all[1].State == "up"
		})
		if _, errs, code := m.run(t, "lab", "flush", "--lab", "broken"); code != exitUnsupported ||
			!strings.Contains(errs, "lab broken is broken: "+reason+"\nhint: "+m.path+" lab down broken") {
			t.Errorf("flush: exit code %d\n%s", code, errs)
		}
		if _, errs, code := m.run(t, "lab", "up", "broken"); code != exitUsage || !strings.Contains(errs, "but it is broken: "+reason) {
			t.Errorf("up: exit code %d\n%s", code, errs)
		}
		said, errs, code := m.run(t, "clean")
		if code != 0 || said != "removed lab broken, broken: "+reason+"\n" {
			t.Errorf("clean: exit code %d\n%s%s", code, said, errs)
		}
		if code := exitCodeFrom(t, orphan.Wait()); code != 143 {
			t.Errorf("the program in the pod: exit code %d", code)
		}
		if out := m.must(t, "clean"); out != "nothing to clean\n" {
			t.Errorf("clean again: %s", out)
		}
		if all := m.labs(t); len(all) != 1 || all[0].State != "up" {
			t.Errorf("labs: %+v", all)
		}
		if m.pidless(t) {
			if !strings.Contains(errs, "network namespace ctsim-foreign does not carry ctsim's mark and stays") {
				t.Errorf("clean says nothing of ctsim-foreign: %s", errs)
			}
			m.shell(t, "test -e /run/netns/ctsim-foreign && ip netns delete ctsim-foreign")
			// A record that is lost leaves namespaces that only their mark tells of.
			m.shell(t, "rm -r /run/ctsim/whole")
			if out := m.must(t, "clean"); strings.Count(out, "of a lab that has no record\n") != 5 {
				t.Errorf("clean without a record: %s", out)
			}
			m.shell(t, "test ! -e /run/netns")
			// Killed between making a name and mounting the namespace on it.
			m.must(t, "lab", "up", "half")
			m.shell(t, "umount /run/netns/ctsim-half-client && sed -i 's/\"complete\": true/\"complete\": false/' /run/ctsim/half/lab.json")
			if out := m.must(t, "clean"); out != "removed lab half, broken: it was not finished\n" {
				t.Errorf("clean of half a lab: %s", out)
			}
			m.shell(t, "test ! -e /run/netns && test ! -e /run/ctsim && test ! -e /run/ctsim-netns")
		}
	})
}

// pidless tells whether labs need no process: root's.
func (m *machine) pidless(t *testing.T) bool { return m.labs(t)[0].PID == 0 }

// shell runs a script on the machine.
func (m *machine) shell(t *testing.T, script string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := m.other(ctx, "sh", "-c", script).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
}

// TestKernelLabUpInterrupted: `lab up` that is ended by Ctrl-C at any moment leaves a whole lab or none; killed, a lab
// that is told to be broken, which `clean` takes away.
func TestKernelLabUpInterrupted(t *testing.T) {
	forEachMachine(t, func(t *testing.T, m *machine) {
		before := leavingsNow(t)
		began := time.Now()
		m.must(t, "lab", "up")
		whole := time.Since(began)
		m.must(t, "lab", "down")
		for i := range 8 {
			signal := []syscall.Signal{unix.SIGINT, unix.SIGKILL}[i%2]
			cmd := m.command(context.Background(), "lab", "up")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rand.N(whole))
			_ = unix.Kill(-cmd.Process.Pid, signal) // an error means that it was faster
			code := exitCodeFrom(t, cmd.Wait())
			if signal == unix.SIGINT && code != 0 && code != 130 {
				t.Errorf("exit code %d", code)
			}
			if signal == unix.SIGKILL {
				m.must(t, "clean")
			}
			all := m.labs(t)
			if len(all) > 1 || len(all) == 1 && (all[0].State != "up" || code == 130) {
				t.Errorf("%s, exit code %d: %+v", signal, code, all)
			}
			m.must(t, "lab", "down", "--all")
			eventually(t, "processes are left", func() any { return m.alive(t) }, func(v any) bool { return len(v.([]string)) == 0 })
		}
		eventually(t, "namespaces are left", func() any { return leavingsNow(t) }, func(v any) bool { return v == before })
	})
}

// TestKernelLabForeignFolder: a folder that somebody else could have written to is not believed.
func TestKernelLabForeignFolder(t *testing.T) {
	m := newMachine(t, callers[1])
	dir := strings.TrimPrefix(m.env[0], "XDG_RUNTIME_DIR=") + "/ctsim"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"lab", "up"}, {"lab", "list"}, {"clean"}, {"lab", "exec", "client", "--", "true"}} {
		if _, errs, code := m.run(t, args...); code != exitUnsupported || !strings.Contains(errs, dir+" belongs to somebody else") {
			t.Errorf("%v: exit code %d\n%s", args, code, errs)
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
}
