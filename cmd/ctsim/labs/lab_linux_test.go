package labs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
)

// machine is a place to keep labs in, with what the tests of this folder do there.
type machine struct{ *systemtest.Machine }

// forEachMachine runs a test of labs as root and as an ordinary user.
func forEachMachine(t *testing.T, test func(*testing.T, *machine)) {
	systemtest.ForEachMachine(t, func(t *testing.T, m *systemtest.Machine) { test(t, &machine{m}) })
}

// walk is the commands of the README's section, in their order.
var walk = []string{"lab up", "lab events --node master", "lab exec server-1 -- ctsim server", "lab exec server-2 -- ctsim server",
	"lab exec client -- ctsim client 10.108.33.37:2222", "lab flush", "lab sockets", "lab down"}

// walked is a command of the walk, with ctsim where it stands here.
func (m *machine) walked(i int) []string {
	words := strings.Fields(walk[i])
	for j, w := range words {
		if w == "ctsim" {
			words[j] = m.Path
		}
	}
	return words
}

// TestWalk: the README has these commands, in this order.
func TestWalk(t *testing.T) {
	data, err := os.ReadFile("../../../README.md")
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
		first := m.Open(t, m.walked(0)...)
		first.Line("lab default is up")
		if code := first.Wait(); code != 0 {
			t.Fatalf("lab up: exit code %d", code)
		}
		first.HangUp() // the lab outlives its terminal

		events := m.Open(t, m.walked(1)...)
		events.Line("listening on master")
		servers := map[string]*systemtest.Terminal{}
		for i, pod := range []string{"server-1", "server-2"} {
			servers[pod] = m.Open(t, m.walked(2+i)...)
			servers[pod].Line("listening on 0.0.0.0:2222")
		}
		client := m.Open(t, m.walked(4)...)
		client.Line("connect 10.108.33.37:2222 from 172.18.219.65:")
		backend := backendOf(t, events.Line("[NEW]", "SYN_SENT"))
		events.Line("[UPDATE]", "ESTABLISHED", "[ASSURED]")
		client.Typed("hello")
		client.Line("send:", "success")
		servers[podOf[backend]].Line("recv:")

		tries := 0
		for rerouted := false; !rerouted; tries++ {
			if tries == 100 {
				t.Fatal("after 100 flushes the flow still goes to the same pod")
			}
			m.Must(t, m.walked(5)...)
			events.Line("[DESTROY]", "src="+backend, "# flushed")
			client.Typed("hello")
			client.Line("send:", "success")
			rerouted = backendOf(t, events.Line("[NEW]", "300 ESTABLISHED", "[UNREPLIED]")) != backend
			if !rerouted {
				servers[podOf[backend]].Line("recv:") // by chance the same pod again: flush and send again
			}
		}
		t.Logf("re-routed by flush %d", tries)
		events.Line("[DESTROY]", "CLOSE", "# ended by an RST")
		client.Typed("hello")
		client.Line("send:", "ECONNRESET")
		if code := client.Wait(); code != cmdline.ExitFail {
			t.Errorf("client: exit code %d", code)
		}
		if out := m.Must(t, m.walked(6)...); !regexp.MustCompile(podOf[backend] + ` +tcp .* ESTABLISHED off`).MatchString(out) {
			t.Errorf("the old backend's socket is not established without a timer:\n%s", out)
		}
		m.Must(t, m.walked(7)...)
		events.Line("lab default is down")
		if code := events.Wait(); code != 0 {
			t.Errorf("lab events: exit code %d", code)
		}
		for pod, s := range servers {
			if code := s.Wait(); code != 143 {
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
		before := systemtest.LeavingsNow(t)
		m.Must(t, "lab", "up", "a", "--backends", "3", "--nodes", "3")
		t.Run("exec", func(t *testing.T) { m.checkExec(t) })
		t.Run("names", func(t *testing.T) {
			out := m.Must(t, "lab", "exec", "client", "--", "ip", "netns", "exec", "ctsim-a-server-2", "ip", "-o", "address")
			if !strings.Contains(out, "172.18.168.130/23") {
				t.Errorf("ip netns exec in the lab: %s", out)
			}
		})
		if m.pidless(t) {
			m.shell(t, "test \"$(ip netns exec ctsim-a-client ip -o -4 address show eth0 | wc -l)\" = 1")
		}
		server := m.Open(t, "lab", "exec", "server-1", "--", m.Path, "server")
		server.Line("listening on")
		t.Run("backends", func(t *testing.T) { m.checkBackends(t) })
		t.Run("look", func(t *testing.T) { m.checkLook(t) })
		t.Run("capture", func(t *testing.T) { m.checkCapture(t) })
		t.Run("capture into", func(t *testing.T) { m.checkCaptureInto(t) })
		m.Must(t, "lab", "up", "b")
		if _, errs, code := m.Run(t, "lab", "table"); code != cmdline.ExitUsage || !strings.Contains(errs, "there are 2 labs, a, b: which one?") ||
			!strings.Contains(errs, "hint: "+m.Path+" lab table --lab a") {
			t.Errorf("two labs: exit code %d\n%s", code, errs)
		}
		m.Must(t, "lab", "down", "a", "b")
		if list := m.Must(t, "lab", "list", "-o", "name"); list != "" {
			t.Errorf("labs are left: %s", list)
		}
		if now := systemtest.LeavingsNow(t); now != before {
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
		{[]string{"clinet", "--", "true"}, cmdline.ExitUsage, "(did you mean client?)\nhint: " + m.Path + " lab exec client -- true"},
		{[]string{"client", "ls", "-l"}, cmdline.ExitUsage, "hint: " + m.Path + " lab exec client -- ls -l"},
		{[]string{"client"}, cmdline.ExitUsage, "needs a pod or node and a command"},
	} {
		_, errs, code := m.Run(t, append([]string{"lab", "exec"}, c.words...)...)
		if code != c.code || !strings.Contains(errs, c.says) || c.says == "" && errs != "" {
			t.Errorf("%v: exit code %d, want %d\n%s", c.words, code, c.code, errs)
		}
	}
	out := m.Must(t, "lab", "exec", "client", "--", "sh", "-c", "echo $CTSIM_LAB $CTSIM_POD; uname -n; pwd; ls /sys/class/net")
	if out != "a client\nclient\n/\neth0\nlo\n" {
		t.Errorf("exec: %q", out)
	}
	// A command of ctsim's own, typed in a shell of the lab, works in that lab.
	shell := m.Open(t, "lab", "shell", "server-2")
	shell.Typed(m.Path + " lab list -o name; exit 3")
	shell.Line("a")
	if code := shell.Wait(); code != 3 {
		t.Errorf("shell: exit code %d", code)
	}
}

func (m *machine) checkBackends(t *testing.T) {
	if out := m.Must(t, "lab", "backends", "add"); out != "server-4 172.18.168.131 on node2 is an endpoint of the service\n" {
		t.Errorf("add: %s", out)
	}
	m.Must(t, "lab", "exec", "client", "--", "sh", "-c", "ip netns exec ctsim-a-server-4 true")
	for _, pod := range []string{"server-2", "server-3"} {
		m.Must(t, "lab", "backends", "remove", pod)
	}
	m.Must(t, "lab", "backends", "remove", "server-4", "--stop")
	if _, errs, code := m.Run(t, "lab", "backends", "remove", "server-4"); code != cmdline.ExitUsage || !strings.Contains(errs, `no pod or node "server-4"`) {
		t.Errorf("removing it again: exit code %d\n%s", code, errs)
	}
	if _, errs, code := m.Run(t, "lab", "backends", "add", "server-1"); code != cmdline.ExitUsage || !strings.Contains(errs, "is an endpoint already") {
		t.Errorf("adding an endpoint: exit code %d\n%s", code, errs)
	}
	want := "POD ADDRESS NODE ENDPOINT server-1 172.18.166.130 node1 yes server-2 172.18.168.130 node2 no server-3 172.18.166.131 node1 no"
	if out := m.Must(t, "lab", "backends"); strings.Join(strings.Fields(out), " ") != want {
		t.Errorf("backends:\n%s", out)
	}
	for _, node := range []string{"master", "node1", "node2"} {
		rules := m.Must(t, "lab", "rules", node)
		if strings.Count(rules, "-j DNAT") != 1 || !strings.Contains(rules, "--to-destination 172.18.166.130:2222") {
			t.Errorf("rules of %s:\n%s", node, rules)
		}
	}
}

// checkLook has one connection to look at, to the only endpoint.
func (m *machine) checkLook(t *testing.T) {
	client := m.Open(t, "lab", "exec", "client", "--", m.Path, "client", "10.108.33.37", "--keepalive-idle", "60s")
	client.Line("connect 10.108.33.37:2222 from 172.18.219.65:")
	var entries []struct {
		Node, State, Backend, Client, To string
		Remaining                        float64 `json:"remaining_s"`
		Flags                            []string
	}
	decode(t, m.Must(t, "lab", "table", "--node", "master", "-o", "json"), &entries)
	if len(entries) != 1 || entries[0].Backend != "server-1" || entries[0].To != "10.108.33.37:2222" || entries[0].State != "ESTABLISHED" ||
		entries[0].Remaining > 86400 || entries[0].Remaining < 86000 || fmt.Sprint(entries[0].Flags) != "[ASSURED]" {
		t.Errorf("table: %+v", entries)
	}
	if out := m.Must(t, "lab", "table"); !strings.Contains(out, "23h5") || !strings.Contains(out, "server-1") {
		t.Errorf("table:\n%s", out)
	}
	var sockets []struct {
		Pod, State, Timer string
		Expires           float64 `json:"expires_s"`
	}
	decode(t, m.Must(t, "lab", "sockets", "client", "-o", "json"), &sockets)
	if len(sockets) != 1 || sockets[0].State != "ESTABLISHED" || sockets[0].Timer != "keepalive" || sockets[0].Expires > 60 {
		t.Errorf("sockets: %+v", sockets)
	}
	if out := m.Must(t, "lab", "sockets"); !strings.Contains(out, "keepalive (") || !strings.Contains(out, "LISTEN") {
		t.Errorf("sockets:\n%s", out)
	}
	if out := m.Must(t, "lab", "flush", "--node", "master"); out != "master: flushed, 1 entry was in it\n" {
		t.Errorf("flush: %s", out)
	}
	if _, errs, code := m.Run(t, "lab", "flush", "--node", "nod1"); code != cmdline.ExitUsage || !strings.Contains(errs, "did you mean node1?") {
		t.Errorf("flush: exit code %d\n%s", code, errs)
	}
	client.HangUp()
	client.Wait()
}

// checkCapture reads the packets of a connection as they come, as Wireshark would.
func (m *machine) checkCapture(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), systemtest.Patience)
	defer cancel()
	cmd := m.Command(ctx, "lab", "capture", "client", "server-1", "--write", "-")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	systemtest.UntilWritten(t, errs, "capturing on client, server-1")
	packets, err := pcapgo.NewNgReader(out, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	client := m.Open(t, "lab", "exec", "client", "--", m.Path, "client", "10.108.33.37")
	at := map[int]int{}
	for at[0] < 3 || at[1] < 3 { // the handshake, at both ends, while the capture goes on
		_, info, readErr := packets.ReadPacketData()
		if readErr != nil {
			t.Fatal(readErr)
		}
		at[info.InterfaceIndex]++
	}
	if i, nameErr := packets.Interface(1); nameErr != nil || i.Name != "server-1" {
		t.Errorf("interface 1: %+v %v", i, nameErr)
	}
	if err = cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = packets.ReadPacketData()
	}
	if code := systemtest.ExitCode(t, cmd.Wait()); code != 130 {
		t.Errorf("exit code %d", code)
	}
	client.HangUp()
	client.Wait()
}

// checkCaptureInto captures into a file: through no link of a stranger's, and a private one stays private.
func (m *machine) checkCaptureInto(t *testing.T) {
	const stranger = 12345
	if m.Who.UID != 0 || !systemtest.Mapped(t, stranger) {
		t.Skip("needs root over other users")
	}
	dir := t.TempDir()
	secret, link, file := filepath.Join(dir, "secret"), filepath.Join(dir, "link"), filepath.Join(dir, "file")
	for _, err := range []error{os.WriteFile(secret, []byte("secret"), 0o600), os.WriteFile(file, []byte("before"), 0o600),
		os.Symlink("secret", link), os.Lchown(link, stranger, stranger)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, errs, code := m.Run(t, "lab", "capture", "--write", link); code != cmdline.ExitUsage ||
		!strings.Contains(errs, "--write: "+link+" is a symbolic link that another user may have put there") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	if data, err := os.ReadFile(secret); string(data) != "secret" {
		t.Errorf("the secret is %q, %v", data, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), systemtest.Patience)
	defer cancel()
	cmd := m.Command(ctx, "lab", "capture", "--write", file)
	errs := systemtest.Started(t, cmd)
	systemtest.UntilWritten(t, errs, "capturing on")
	if got := systemtest.Folder(t, dir); !slices.Equal(got, []string{"file", "link", "secret"}) {
		t.Errorf("while it captures there are %v", got)
	}
	if err := cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 || info.Size() < 100 {
		t.Errorf("the file is %v %v", info, err)
	}
}

func decode(t *testing.T, text string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), to); err != nil {
		t.Errorf("%v: %s", err, text)
	}
}
