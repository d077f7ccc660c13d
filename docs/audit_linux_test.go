package docs_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/topology"
)

// asClient in the environment makes the test's binary the client of the audit's transcript.
const asClient = "CTSIM_DOCS_CLIENT"

// shownPID stands in the README for the client's real one.
const shownPID = "4711"

// beClient opens one connection through the service without keepalive and one with it, and stays until stdin ends.
func beClient() error {
	for _, keepalive := range []net.KeepAliveConfig{{Enable: false}, {Enable: true, Idle: 10 * time.Minute}} {
		dialer := net.Dialer{KeepAlive: -1, KeepAliveConfig: keepalive}
		c, err := dialer.Dial("tcp", "10.108.33.37:2222")
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// newAuditWorld is the article's, with one server. Nil if this machine cannot and need not.
func newAuditWorld(t *testing.T) *topology.Lab {
	t.Helper()
	lab, err := topology.Up(context.Background(), topology.Plan{
		Network: netip.MustParsePrefix("192.168.122.0/24"),
		Nodes: []topology.Node{
			{Name: "master", Address: netip.MustParseAddr("192.168.122.20"), PodCIDR: netip.MustParsePrefix("172.18.219.0/24"),
				Pods: []topology.Pod{{Name: "client", Address: netip.MustParseAddr("172.18.219.65")}}},
			{Name: "node1", Address: netip.MustParseAddr("192.168.122.21"), PodCIDR: netip.MustParsePrefix("172.18.166.0/24"),
				Pods: []topology.Pod{{Name: "server-1", Address: netip.MustParseAddr("172.18.166.130")}}},
		},
	})
	if err != nil {
		if os.Getenv("CTSIM_REQUIRE_KERNEL") == "1" {
			t.Fatal(err)
		}
		return nil
	}
	t.Cleanup(func() { _ = lab.Close() })
	master := lab.Namespace("master")
	rule := strings.Fields("-w -t nat -A PREROUTING -d 10.108.33.37 -p tcp --dport 2222 -j DNAT --to-destination 172.18.166.130:2222")
	if err := master.Do(exec.Command("iptables", rule...).Run); err != nil {
		t.Fatal(err)
	}
	if err := master.SetSysctl("net.netfilter.nf_conntrack_tcp_timeout_established", "86400"); err != nil {
		t.Fatal(err)
	}
	var server net.Listener
	err = lab.Namespace("server-1").Do(func() (err error) { server, err = net.Listen("tcp", "172.18.166.130:2222"); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return lab
}

// startClient gives the pid of a client in its pod.
func startClient(t *testing.T, pod *topology.Namespace) int {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "client") // the process's name
	if err := os.Symlink(me, path); err != nil {
		t.Fatal(err)
	}
	client := exec.Command(path)
	client.Env = append(os.Environ(), asClient+"=1")
	client.Stderr = os.Stderr
	stdin, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := pod.Do(client.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = stdin.Close(), client.Wait() })
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("client: %q, %v", line, err)
	}
	return client.Process.Pid
}

var numbers = regexp.MustCompile(`\d+`)

// checkAudit runs it on a node with a client in a pod. Numbers differ each time.
func (x exchange) checkAudit(t *testing.T, ctsim string, args []string) []string {
	lab := newAuditWorld(t)
	if lab == nil {
		t.Logf("%s: not on this machine", x.command)
		return x.output
	}
	pid := strconv.Itoa(startClient(t, lab.Namespace("client")))
	for i, arg := range args {
		if arg == shownPID {
			args[i] = pid
		}
	}
	var text string
	var code int
	if err := lab.Namespace("master").Do(func() error { text, code = said(t, "", ctsim, args...); return nil }); err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		t.Errorf("%s: exit code %d\n%s", x.command, code, text)
	}
	got := strings.Split(strings.TrimRight(strings.ReplaceAll(text, pid, shownPID), "\n"), "\n")
	switch {
	case strings.Contains(text, "CAP_BPF"):
		t.Logf("%s: less is seen without root in the initial user namespace", x.command)
	case *update:
		return got
	default:
		if diff := cmp.Diff(withoutNumbers(x.output), withoutNumbers(got)); diff != "" {
			t.Errorf("README.md: %s (-shown +printed; `make golden` writes it anew):\n%s", x.command, diff)
		}
	}
	return x.output
}

// withoutNumbers takes out what differs: numbers, the width of columns, and where the lines of a sentence end.
func withoutNumbers(lines []string) []string {
	return strings.Fields(numbers.ReplaceAllString(strings.Join(lines, " "), "0"))
}
