package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario/result"
)

// updateApplications is not among the flags of `make golden`: what this kernel and these programs do is a recording.
var updateApplications = flag.Bool("update-applications", false, "write docs/applications.md from real runs: what this kernel shows")

// application is a client and a server that nobody here wrote, and what becomes of their connection.
type application struct {
	name           string
	client, server string
	flags          []string
	// flush, day and short are the outcomes of a flush, and of idle time longer than 86400 s and 350 s.
	flush, day, short account.Outcome
	// rootOnly names what it needs that a user namespace has not; empty if nothing.
	rootOnly string
}

const (
	postgres = `export PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' :)
initdb -D $HOME/data -U postgres -A trust --no-sync --locale=C >/dev/null
echo 'host all all all trust' >>$HOME/data/pg_hba.conf
exec postgres -D $HOME/data -F -k $TMPDIR -p $PORT -c listen_addresses='*'`
	redis = `exec redis-server --port $PORT --protected-mode no --save ''`
	nginx = `cat >$HOME/conf <<END
daemon off; worker_processes 1; pid $TMPDIR/pid; events {}
http { access_log off; client_body_temp_path $TMPDIR/b; proxy_temp_path $TMPDIR/p; fastcgi_temp_path $TMPDIR/f;
uwsgi_temp_path $TMPDIR/u; scgi_temp_path $TMPDIR/s; server { listen $PORT; location / { return 200 "hello\n"; } } }
END
exec nginx -e stderr -c $HOME/conf`
	// KEYS stands for a folder with keys that the test makes.
	sshd = `mkdir -p /run/sshd; exec /usr/sbin/sshd -D -e -f /dev/null -p $PORT -h KEYS/host -o PidFile=none -o StrictModes=no -o AuthorizedKeysFile=KEYS/id.pub`
	ssh  = `ssh -F none -i KEYS/id -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR %s-p $SERVICE_PORT root@myservice "echo ready; cat"`
)

// requests keeps one connection of curl in use every second.
const requests = `curl -sS --rate 60/m http://myservice/[1-60]`

func applications() []application {
	const survived, reset, reconnected = account.Survived, account.Reset, account.Reconnected
	sql := []string{"--port", "5432", "--user", "nobody", "--input", "select 1;"}
	echo := []string{"--printed", "ready", "--input", "hello"}
	return []application{
		{"psql ↔ PostgreSQL", "psql -h myservice -U postgres", postgres, sql, reset, survived, reset, ""},
		{"psql, keepalives_idle=60", "psql 'host=myservice user=postgres keepalives_idle=60'", postgres, sql, reset, survived, survived, ""},
		{"redis-cli ↔ Redis", "redis-cli -h myservice", redis, []string{"--port", "6379", "--input", "PING"}, reconnected, survived, survived, ""},
		{"curl ↔ nginx", requests, nginx, []string{"--port", "80"}, reconnected, survived, survived, ""},
		{"ssh ↔ sshd", fmt.Sprintf(ssh, ""), sshd, echo, reset, survived, reset, "sshd has users to change to"},
		{"ssh, ServerAliveInterval=1", fmt.Sprintf(ssh, "-o ServerAliveInterval=1 "), sshd, append(echo, "--after", "2s"), reset, survived, survived, "sshd has users to change to"},
	}
}

// TestKernelApplications runs Debian's programs. It is what `make test-apps` runs.
func TestKernelApplications(t *testing.T) {
	if os.Getenv("CTSIM_TEST_APPS") != "1" {
		t.Skip("make test-apps installs the programs and sets CTSIM_TEST_APPS=1")
	}
	b := newBinary(t, systemtest.Caller{Name: "self", UID: os.Geteuid()})
	before, keys := systemtest.LeavingsNow(t), makeKeys(t)
	table := make([][]result.Result, len(applications()))
	var group sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, app := range applications() {
		if app.rootOnly != "" && !realRoot(t) {
			t.Logf("%s: left out, %s", app.name, app.rootOnly)
			continue
		}
		table[i] = make([]result.Result, 3)
		for j, one := range []struct {
			want  account.Outcome
			flags []string
		}{{app.flush, nil}, {app.day, []string{"--fault", "expire"}}, {app.short, []string{"--fault", "expire", "--timeout", "350s"}}} {
			group.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				table[i][j] = b.application(t, app, keys, one.want, one.flags)
			})
		}
	}
	group.Wait()
	b.LeavesNothing(t, before)
	if *updateApplications && !t.Failed() {
		writeApplications(t, table)
	}
}

// application runs one trial with Debian's programs.
func (b *binary) application(t *testing.T, app application, keys string, want account.Outcome, flags []string) result.Result {
	args := append([]string{"--client", strings.ReplaceAll(app.client, "KEYS", keys),
		"--server", strings.ReplaceAll(app.server, "KEYS", keys), "--expect", string(want)}, app.flags...)
	if !strings.Contains(strings.Join(args, " "), "--after") {
		args = append(args, "--after", "100ms")
	}
	var r result.Result
	stdout, stderr, code := b.Run(t, append(append([]string{"try", "--output", "json"}, args...), flags...)...)
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 {
		t.Errorf("%s %v: exit code %d, %v: %s\n%s", app.name, flags, code, err, r.Reason, stderr)
	}
	return r
}

// makeKeys makes a host's key and a user's.
func makeKeys(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"host", "id"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, name)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	return dir
}

// realRoot tells whether this is root of more than a user namespace with one user.
func realRoot(t *testing.T) bool { return os.Geteuid() == 0 && systemtest.Mapped(t, systemtest.Nobody) }

// writeApplications writes the table of the documents.
func writeApplications(t *testing.T, table [][]result.Result) {
	t.Helper()
	release, _, _ := strings.Cut(table[0][0].Kernel, "-") // what an owner adds to it is of no use to the reader
	var d bytes.Buffer
	d.WriteString(`# Which client survives what

Made by ` + "`make applications`" + ` from real runs of ` + "`ctsim try`" + ` with Debian's programs, two backends, kernel ` +
		release + `.
Nothing but what the name says is set: these are the programs' defaults. ` + "`make test-apps`" + ` holds the outcomes.

| client ↔ server | its keepalive: first probe of client, server | flush, then used again | idle past 86400 s | idle past 350 s | what the client says after the flush |
|---|---|---|---|---|---|
`)
	for i, app := range applications() {
		r := table[i]
		if r == nil {
			t.Fatalf("%s was left out: the table needs all", app.name)
		}
		c := r[0].Connections[0]
		fmt.Fprintf(&d, "| %s | %s, %s | %s | %s | %s | %s |\n", app.name, firstProbe(c.ClientSocket), firstProbe(c.ServerSocket),
			cell(r[0]), cell(r[1]), cell(r[2]), lastWords(r[0]))
	}
	d.WriteString(`
*survived*: the same connection goes on. *reconnected*: it was reset, and the program opened a new one by itself: redis-cli
when the next command is typed, curl within the same request and without a word. *reset*: the program ends, or stays without a
connection.

Idle time is not waited for: the entries are aged (the step ` + "`age`" + `), unless the kernel's timer
of a socket, or something that the programs were heard to say to each other, shows that they would have been renewed. What
a program says of its own accord more rarely than ` + "`--after`" + ` is not heard.

Nothing survives a flush: keepalive keeps an entry from expiring, it does not bring one back. What differs is what the
program does next.

## The commands

KEYS is a folder with the keys of a host and a user.

`)
	for _, app := range applications() {
		fmt.Fprintf(&d, "%s:\n\n```sh\n%s\n%s\n```\n\n", app.name, "# client\n"+app.client, "# server\n"+app.server)
	}
	d.Truncate(d.Len() - 1)
	if err := os.WriteFile(filepath.Join("..", "..", "docs", "applications.md"), d.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func firstProbe(s *account.SocketSettings) string {
	if s == nil || !s.KeepAlive {
		return "never"
	}
	return fmt.Sprintf("%g s", s.IdleS)
}

func cell(r result.Result) string {
	c := r.Connections[0]
	if c.Errno == "" {
		return string(c.Outcome)
	}
	return fmt.Sprintf("%s (%s)", c.Outcome, c.Errno)
}

// lastWords is the last line that the client wrote to stderr.
func lastWords(r result.Result) string {
	said := "nothing"
	for _, o := range r.Timeline {
		if o.Source == "client" && o.Kind == "stderr" && strings.TrimSpace(o.Text) != "" {
			said = "`" + strings.TrimSpace(o.Text) + "`"
		}
	}
	return said
}
