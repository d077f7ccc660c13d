package byhand

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// seen is what a script reads its outcomes off: what both programs said, what ss says, and what conntrack said, with what
// was done in between.
type seen struct {
	udp                       bool
	programs, sockets, events string
}

// survived is a connection that a flush did no harm to.
var survived = seen{
	programs: `client-1 10:00:00.1 connect 10.108.33.37:2222 from 172.18.219.65:40000
server-1 10:00:00.2 accept from 172.18.219.65:40000
client-1 10:00:00.3 send: 12 bytes, success
server-1 10:00:00.4 172.18.219.65:40000 recv: 12 bytes "1 message-1\n"
client-1 10:00:00.5 send: 12 bytes, success
client-1 10:00:00.6 fate: acknowledged by the peer's kernel
server-1 10:00:00.7 172.18.219.65:40000 recv: 12 bytes "1 message-2\n"
`,
	sockets: `client ESTAB 0 0 172.18.219.65:40000 10.108.33.37:2222
server-1 ESTAB 0 0 172.18.166.130:2222 172.18.219.65:40000
`,
	events: `    [NEW] tcp      6 120 SYN_SENT src=172.18.219.65 dst=10.108.33.37 sport=40000 dport=2222 [UNREPLIED] src=172.18.166.130 dst=172.18.219.65 sport=2222 dport=40000
# message-1 from client-1
# break: flush the conntrack table of every node
[DESTROY] tcp      6 86399 ESTABLISHED src=172.18.219.65 dst=10.108.33.37 sport=40000 dport=2222 src=172.18.166.130 dst=172.18.219.65 sport=2222 dport=40000 [ASSURED]
# message-2 from client-1
    [NEW] tcp      6 300 ESTABLISHED src=172.18.219.65 dst=10.108.33.37 sport=40000 dport=2222 [UNREPLIED] src=172.18.166.130 dst=172.18.219.65 sport=2222 dport=40000
`,
}

// answered is two datagrams and their answers, with a flush between them.
var answered = seen{
	udp: true,
	programs: `client-1 10:00:00.1 connect 10.108.33.37:2222 from 172.18.219.65:40000
client-1 10:00:00.2 send: 12 bytes, success
server-1 10:00:00.3 172.18.219.65:40000 recv: 12 bytes "1 message-1\n"
server-1 10:00:00.4 172.18.219.65:40000 send: 12 bytes, success
client-1 10:00:00.5 recv: 12 bytes "1 message-1\n"
client-1 10:00:00.6 send: 12 bytes, success
server-2 10:00:00.7 172.18.219.65:40000 recv: 12 bytes "1 message-2\n"
server-2 10:00:00.8 172.18.219.65:40000 send: 12 bytes, success
client-1 10:00:00.9 recv: 12 bytes "1 message-2\n"
`,
	events: `    [NEW] udp      17 30 src=172.18.219.65 dst=10.108.33.37 sport=40000 dport=2222 [UNREPLIED] src=172.18.166.130 dst=172.18.219.65 sport=2222 dport=40000
# message-1 from client-1
# break: flush the conntrack table of every node
# message-2 from client-1
`,
}

// Lines of them that cases change.
const (
	second      = "server-1 10:00:00.7 172.18.219.65:40000 recv: 12 bytes \"1 message-2\\n\"\n"
	clientLine  = "client ESTAB 0 0 172.18.219.65:40000 10.108.33.37:2222"
	serverLine  = "server-1 ESTAB 0 0 172.18.166.130:2222 172.18.219.65:40000"
	opened      = "client-1 10:00:00.1 connect 10.108.33.37:2222 from 172.18.219.65:40000\n"
	end         = "\x00" // what is put here comes after everything else that the programs said
	eventsEnd   = "\x01" // and here of conntrack
	arrivedUDP  = "server-2 10:00:00.7 172.18.219.65:40000 recv: 12 bytes \"1 message-2\\n\"\n"
	answeredUDP = "client-1 10:00:00.9 recv: 12 bytes \"1 message-2\\n\"\n"
	closing     = "client-1 10:00:01.0 close\nserver-1 10:00:01.1 172.18.219.65:40000 recv: end of stream\nserver-1 10:00:01.2 172.18.219.65:40000 close\n"
	timeWait    = " [UPDATE] tcp      6 120 TIME_WAIT src=172.18.219.65 dst=10.108.33.37 sport=40000 dport=2222 src=172.18.166.130 dst=172.18.219.65 sport=2222 dport=40000 [ASSURED]\n"
	destroyed   = "[DESTROY] tcp      6 ESTABLISHED src=172.18.219.65 dst=10.108.33.37 sport=40000 dport=2222 src=172.18.166.130 dst=172.18.219.65 sport=2222 dport=40000\n"
)

// TestScriptOutcomes: each outcome rests on something that was seen, and what is missing for it makes it inconclusive:
// the case is what survived, or was answered, with these replaced by those.
func TestScriptOutcomes(t *testing.T) {
	for _, c := range []struct {
		name    string
		from    seen
		replace []string
		want    string // the outcome, a colon, and words of what it rests on
	}{
		{"as it is", survived, nil, "survived: ESTAB and ESTAB, and all that was sent arrived, message-2 after the last break"},
		{"both messages in one recv", survived, []string{"10:00:00.4 172.18.219.65:40000 recv: 12 bytes \"1 message-1\\n\"", "10:00:00.4 172.18.219.65:40000 fate: x",
			"recv: 12 bytes \"1 message-2", "recv: 24 bytes \"1 message-1\\n1 message-2"}, "survived:"},
		{"another connection's entry goes", survived, []string{eventsEnd, strings.ReplaceAll(destroyed, "40000", "40001")}, "survived:"},
		{"ten messages", survived, []string{"message-1", "message-9", "message-2", "message-10"}, "survived: message-10"},
		{"the client received nothing, which is no error", survived, []string{end, "client-1 10:00:01.0 recv: nothing came\n"}, "survived:"},
		{"masqueraded", survived, []string{"accept from 172.18.219.65:40000", "accept from 192.168.122.20:7", "172.18.219.65:40000 recv", "192.168.122.20:7 recv",
			"172.18.166.130:2222 172.18.219.65:40000", "172.18.166.130:2222 192.168.122.20:7"}, "survived:"},
		{"half-closed by the server", survived, []string{clientLine, strings.Replace(clientLine, "ESTAB 0", "CLOSE-WAIT 1", 1),
			serverLine, strings.Replace(serverLine, "ESTAB", "FIN-WAIT-2", 1)}, "survived: half-closed"},
		{"half-closed by the client", survived, []string{clientLine, strings.Replace(clientLine, "ESTAB", "FIN-WAIT-2", 1),
			serverLine, strings.Replace(serverLine, "ESTAB", "CLOSE-WAIT", 1)}, "survived: half-closed"},
		{"the server alone used it", survived, []string{second, "server-1 10:00:00.7 172.18.219.65:40000 send: 10 bytes, success\n",
			"client-1 10:00:00.5 send: 12 bytes, success\n", "", "message-2 from client-1", "message-2 from servers"}, "survived: message-2"},

		{"the last message has not arrived", survived, []string{second, ""}, "inconclusive: 1 of the client's 2 messages did not arrive"},
		{"an earlier message has not arrived", survived, []string{"recv: 12 bytes \"1 message-1\\n\"", "fate: x"}, "inconclusive: 1 of the client's 2 messages"},
		{"the server has no socket of it", survived, []string{serverLine + "\n", ""}, "inconclusive: the client's socket is ESTAB, the server's gone"},
		{"the server has one of another peer", survived, []string{serverLine, strings.Replace(serverLine, "40000", "40001", 1)}, "inconclusive: the server's gone"},
		{"the client has no socket of it", survived, []string{clientLine + "\n", ""}, "inconclusive: the client's socket is gone, the server's ESTAB"},
		{"only the server knows of a FIN", survived, []string{serverLine, strings.Replace(serverLine, "ESTAB", "CLOSE-WAIT", 1)}, "inconclusive: the server's CLOSE-WAIT"},
		{"unacknowledged", survived, []string{clientLine, strings.Replace(clientLine, "ESTAB 0 0", "ESTAB 0 12", 1)}, "inconclusive: 12 bytes are not acknowledged"},
		{"the server's is unacknowledged", survived, []string{serverLine, strings.Replace(serverLine, "ESTAB 0 0", "ESTAB 0 1", 1)}, "inconclusive: 1 byte"},
		{"unread", survived, []string{serverLine, strings.Replace(serverLine, "ESTAB 0", "ESTAB 12", 1)}, "inconclusive: 12 bytes lie unread at the server"},
		{"a break at the end", survived, []string{eventsEnd, "# break: a pod is gone\n"}, "inconclusive: nothing was sent since the last break"},
		{"its entry is lost at the end", survived, []string{eventsEnd, destroyed}, "inconclusive: nothing was sent since the last break"},
		{"a break between nine and ten", survived, []string{"message-1", "message-9", "message-2", "message-10", eventsEnd, "# break: x\n"}, "inconclusive: nothing"},
		{"the server's words were before the break", survived, []string{second, second + "server-1 10:00:00.8 172.18.219.65:40000 send: 10 bytes, success\n",
			eventsEnd, "# message-3 from servers\n# break: x\n"}, "inconclusive: nothing"},
		{"never used", survived, []string{"send: 12 bytes, success", "fate: x", "recv: 12 bytes", "fate: 12 bytes"}, "inconclusive: nothing was sent"},
		{"never opened", survived, []string{opened, ""}, "inconclusive: it was never opened"},
		{"another connection has its port now", survived, []string{end, "client-2 10:00:01.0 connect 10.108.33.37:2222 from 172.18.219.65:40000\n"},
			"inconclusive: the client's socket is gone"},
		{"its FIN is on the way", survived, []string{clientLine, strings.Replace(clientLine, "ESTAB 0 0", "LAST-ACK 0 1", 1)}, "inconclusive: a FIN may still be on its way"},
		{"an error that says nothing of it", survived, []string{end, "client-1 10:00:01.0 send: ENOBUFS (no buffer space available)\n"}, "inconclusive: the client got ENOBUFS"},

		{"sent again", survived, []string{clientLine, strings.Replace(clientLine, "0 0", "0 12", 1) + " timer:(on,436ms,2)"},
			"hang: what the client sent last was sent again 2 times"},
		{"the server has sent again", survived, []string{serverLine, strings.Replace(serverLine, "0 0", "0 12", 1) + " timer:(on,1min2sec,9)"}, "hang: the server sent last"},
		{"a keepalive timer is no retransmission", survived, []string{clientLine, clientLine + " timer:(keepalive,59sec,3)"}, "survived:"},
		{"a FIN sent again", survived, []string{clientLine, strings.Replace(clientLine, "ESTAB 0 0", "LAST-ACK 0 1", 1) + " timer:(on,436ms,2)"}, "hang: LAST-ACK"},

		{"another server got the last", survived, []string{second, strings.Replace(second, "server-1", "server-2", 1)}, "wrong-backend: server-1, the last at server-2"},
		{"a stranger got all", survived, []string{"server-1 ", "stranger "}, "wrong-backend: stranger, which is no pod of the service"},

		{"closed by both", survived, []string{end, closing, clientLine, strings.Replace(clientLine, "ESTAB", "TIME-WAIT", 1), serverLine + "\n", "", eventsEnd, timeWait}, "closed:"},
		{"the last FIN is not known to be acknowledged", survived, []string{end, closing, clientLine, strings.Replace(clientLine, "ESTAB", "TIME-WAIT", 1),
			serverLine + "\n", ""}, "inconclusive: the client's socket is TIME-WAIT, the server's gone"},
		{"closed by one", survived, []string{end, "client-1 10:00:01.0 close\n", clientLine + "\n", "", serverLine + "\n", "", eventsEnd, timeWait}, "inconclusive: gone, the server's gone"},
		{"closed by the client, and the server does not know", survived, []string{end, "client-1 10:00:01.0 close\n", clientLine + "\n", ""}, "inconclusive:"},

		{"reset", survived, []string{end, "client-1 10:00:01.0 send: ECONNRESET (connection reset by peer)\n"}, "reset: the client got ECONNRESET"},
		{"the first error counts", survived, []string{end, "server-1 10:00:01.0 172.18.219.65:40000 recv: ETIMEDOUT (connection timed out)\n" +
			"client-1 10:00:01.1 send: ECONNRESET (connection reset by peer)\n"}, "timeout: the server got ETIMEDOUT"},
		{"reset, and nobody looked", survived, []string{clientLine + "\n", "", end, "client-1 10:00:01.0 error: ECONNRESET (connection reset by peer)\n"},
			"reset: the client's socket is gone, and ECONNRESET waits"},
		{"timed out, and nobody looked", survived, []string{serverLine + "\n", "", end, "server-1 10:00:01.0 172.18.219.65:40000 error: ETIMEDOUT (connection timed out)\n"},
			"timeout: the server's socket is gone"},
		{"TCP gets over what waits on a socket that is there", survived, []string{end, "client-1 10:00:01.0 error: EHOSTUNREACH (no route to host)\n"}, "survived:"},
		{"it has written after its own FIN", survived, []string{end, "client-1 10:00:00.8 shutdown\nclient-1 10:00:01.0 send: EPIPE (broken pipe)\n",
			clientLine, strings.Replace(clientLine, "ESTAB", "FIN-WAIT-2", 1), serverLine, strings.Replace(serverLine, "ESTAB", "CLOSE-WAIT", 1)}, "survived: half-closed"},
		{"a stray packet that could not be sent", survived, []string{end, "server-1 10:00:01.0 172.18.219.65:40000 stray: EPERM (operation not permitted)\n"}, "survived:"},
		{"refused", survived, []string{opened, "client-1 10:00:00.1 connect 10.108.33.37:2222: ECONNREFUSED (connection refused)\n"}, "refused:"},
		{"refused at last, by a soft error", survived, []string{end, "client-1 10:00:01.0 send: ECONNREFUSED (connection refused)\n"}, "timeout:"},

		{"a datagram is answered", answered, nil, "survived: message-2 arrived at server-2, and its answer"},
		{"an earlier one was lost", answered, []string{"server-1 10:00:00.3 172.18.219.65:40000 recv: 12 bytes \"1 message-1\\n\"\n", "",
			"client-1 10:00:00.5 recv: 12 bytes \"1 message-1\\n\"", "client-1 10:00:00.5 recv: ECONNREFUSED (connection refused)"}, "survived:"},
		{"the last is lost", answered, []string{arrivedUDP, "", answeredUDP, "client-1 10:00:00.9 recv: nothing came\n"}, "hang: message-2 arrived nowhere"},
		{"the last is refused", answered, []string{arrivedUDP, "", answeredUDP, "client-1 10:00:00.9 recv: ECONNREFUSED (connection refused)\n"}, "refused: message-2"},
		{"the answer is lost", answered, []string{answeredUDP, "client-1 10:00:00.9 recv: nothing came\n"}, "hang: its answer did not come"},
		{"only the first was answered", answered, []string{answeredUDP, "client-1 10:00:00.9 recv: 12 bytes \"1 message-1\\n\"\n"}, "hang:"},
		{"a stranger answers", answered, []string{"server-2 ", "stranger "}, "wrong-backend: stranger"},
		{"a break after the last datagram", answered, []string{eventsEnd, "# break: x\n"}, "inconclusive: nothing was sent since the last break"},
		{"no datagram", answered, []string{"# message-1 from client-1\n", "", "# message-2 from client-1\n", ""}, "inconclusive: nothing was sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.from.with(t, c.replace).outcomes(t)
			outcome, words, _ := strings.Cut(c.want, ":")
			if !strings.HasPrefix(got, "1 "+outcome+" ") || !strings.Contains(got, strings.TrimSpace(words)) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// with replaces the first of each pair by the second, everywhere.
func (s seen) with(t *testing.T, pairs []string) seen {
	t.Helper()
	s.programs += end
	s.events += eventsEnd
	for i := 0; i < len(pairs); i += 2 {
		before := s
		for _, text := range []*string{&s.programs, &s.sockets, &s.events} {
			*text = strings.ReplaceAll(*text, pairs[i], pairs[i+1])
		}
		if s == before {
			t.Fatalf("nothing says %q", pairs[i])
		}
	}
	s.programs, s.events = strings.TrimSuffix(s.programs, end), strings.TrimSuffix(s.events, eventsEnd)
	return s
}

// outcomes runs the script's own functions on what was seen.
func (s seen) outcomes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"programs": s.programs, "sockets": s.sockets, "story": s.events} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	udp := "0"
	if s.udp {
		udp = "1"
	}
	out, err := shell(t, dir, "set -euo pipefail\nclient=client connections=1 udp="+udp+
		"\ndeclare -A address=([server-1]=172.18.166.130 [server-2]=172.18.166.131)\nsaid() { cat programs; }\nsockets() { cat sockets; }\n"+
		functions("facts", "outcomes")+"outcomes")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// TestScriptExitCodes: a script passes only what it has judged, and what it could not judge only fails where something
// else is wrong.
func TestScriptExitCodes(t *testing.T) {
	const two = "connections=2\nexpected() { echo reset; }\nwithin_chance() { :; }\n"
	const share = "connections=2\nexpected() { echo any; }\nwithin_chance() { [ \"$(cut -d ' ' -f 2 | grep -cx reset || true)\" = 1 ]; }\n"
	for _, c := range []struct {
		name, about, outcomes string
		code                  int
		last                  string
	}{
		{"as expected", two, "1 reset - x\n2 reset - x\n", 0, "outcome: 2 reset"},
		{"not as expected", two, "1 reset - x\n2 survived - x\n", 1, "outcome: 1 reset, 1 survived; not as expected"},
		{"one is inconclusive", two, "1 inconclusive - nothing was sent\n2 reset - x\n", 4, "outcome: 1 inconclusive, 1 reset; connection 1: nothing was sent"},
		{"inconclusive and wrong", two, "1 inconclusive - x\n2 survived - x\n", 1, "outcome: 1 inconclusive, 1 survived; not as expected"},
		{"one is missing", two, "1 reset - x\n", 4, "outcome: inconclusive, not every connection could be judged"},
		{"none is there", two, "", 4, "outcome: inconclusive, not every connection could be judged"},
		{"a command ended otherwise", two + "commands_wrong=1\n", "1 reset - x\n2 reset - x\n", 1, "outcome: 2 reset; not as expected"},
		{"a share", share, "1 reset - x\n2 survived - not reset \n", 0, "outcome: 1 reset, 1 survived"},
		{"another share", share, "1 reset - x\n2 reset - x\n", 1, "outcome: 2 reset; not as expected"},
		{"a share of what is inconclusive", share, "1 reset - x\n2 inconclusive - x\n", 4, "outcome: 1 inconclusive, 1 reset; connection 2: x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			script := "set -euo pipefail\nudp=1 clients=\ncaught_up() { :; }\nshow() { :; }\noutcomes() { printf '" + strings.ReplaceAll(c.outcomes, "\n", `\n`) + "'; }\n" +
				": >events\n" + functions("inconclusive", "settle", "finish") + c.about + "finish"
			out, err := shell(t, t.TempDir(), script)
			code := 0
			if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
				code = ended.ExitCode()
			}
			if code != c.code || out != c.last {
				t.Errorf("exit code %d, %q, want %d, %q", code, out, c.code, c.last)
			}
		})
	}
}

// TestScriptOverMidnight: what was said after midnight comes after what was said before it.
func TestScriptOverMidnight(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"client-1": "23:59:59.9 a\n00:00:00.1 c\n", "server-1": "00:00:00.0 b\n00:00:00.2 d\n"} {
		if err := os.Mkdir(filepath.Join(dir, "log"), 0o755); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "log", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := shell(t, dir, "began=23:59:59\n"+functions("said")+"said | cut -d ' ' -f 3 | paste -sd' '")
	if err != nil || out != "a b c d" {
		t.Errorf("%q, %v", out, err)
	}
}

// functions are functions of the library, with what they keep in /run in the current folder.
func functions(names ...string) string {
	var out string
	for _, f := range scriptLibrary() {
		if slices.Contains(names, f.name) {
			out += strings.ReplaceAll(f.text, "/run/", "") + "\n"
		}
	}
	return out
}

// shell is what bash prints in a folder.
func shell(t *testing.T, dir, script string) (string, error) {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(bash, "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
