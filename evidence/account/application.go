package account

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/packet"
	"github.com/ctsim/ctsim/probe/peer"
)

// applications are how programs are told to keep a connection in use, and to give one up that is not answered, in their
// own terms, by the name of the process that holds the socket. Each was read in the program's own documentation; without a
// timeout of its own a program has TCP_USER_TIMEOUT.
var applications = []struct {
	names              []string
	keepalive, timeout string
}{
	{[]string{"psql", "pg_dump", "pg_restore", "pgbench", "pg_isready", "vacuumdb"},
		"libpq: keepalives_idle=60 keepalives_interval=10 keepalives_count=3 in the connection string",
		"libpq: tcp_user_timeout=30000 in the connection string"},
	{[]string{"postgres"}, "PostgreSQL: tcp_keepalives_idle = 60, tcp_keepalives_interval = 10 in postgresql.conf",
		"PostgreSQL: tcp_user_timeout = 30000 in postgresql.conf"},
	{[]string{"redis-cli"}, "redis-cli sets keepalive to 15 s by itself; of a client library switch on keepalive and health checks", ""},
	{[]string{"redis-server", "valkey-server"}, "Redis: tcp-keepalive 60 in redis.conf (its default is 300)", ""},
	{[]string{"ssh"}, "ssh: ServerAliveInterval 60 and ServerAliveCountMax 3 in ssh_config, or -o on the command line",
		"ssh: ServerAliveInterval 10 and ServerAliveCountMax 3 in ssh_config, or -o on the command line"},
	{[]string{"sshd", "sshd-session"}, "sshd: ClientAliveInterval 60 in sshd_config", "sshd: ClientAliveInterval 10 and ClientAliveCountMax 3 in sshd_config"},
	{[]string{"curl"}, "curl: --keepalive-time 30 (its default is 60), --retry for requests that may be repeated",
		"curl: --max-time, and --retry for requests that may be repeated"},
	{[]string{"nginx"}, "nginx: listen … so_keepalive=60s:10s:3 for clients, proxy_socket_keepalive on and upstream keepalive_timeout for backends", ""},
	{[]string{"ab"}, "ab sets no keepalive and stops at the first reset; -r goes on", ""},
	{[]string{"java"}, "JDBC: tcpKeepAlive=true (PostgreSQL, MySQL), with TCP_KEEPIDLE from the pod's sysctl net.ipv4.tcp_keepalive_time; pools: HikariCP keepaliveTime and maxLifetime below the timeout",
		"JDBC: socketTimeout (PostgreSQL, MySQL)"},
	{[]string{"mysql", "mariadb", "mysqld", "mariadbd"}, "MySQL: keepalive is on with the kernel's 7200 s; set the pod's sysctl net.ipv4.tcp_keepalive_time, or wait_timeout below conntrack's", ""},
	{[]string{"node"}, "Node.js: socket.setKeepAlive(true, 60000); http.Agent({keepAlive: true}) needs it too", "Node.js: socket.setTimeout(30000)"},
	{[]string{"python", "python3"}, "Python: setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1) and setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, 60)",
		"Python: setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, 30000)"},
	{[]string{"socat"}, "socat: keepalive,keepidle=60,keepintvl=10,keepcnt=3 behind the address", ""},
	{[]string{"beam.smp"}, "RabbitMQ: heartbeat 60; Erlang: {keepalive, true}", "RabbitMQ: heartbeat 10"},
	{[]string{"mongod", "mongos", "mongosh"}, "MongoDB: keepalive of 120 s is on; its drivers: maxIdleTimeMS below the timeout", "MongoDB drivers: socketTimeoutMS"},
}

// What helps a program that is not known, and the connection as a whole.
const (
	anyKeepAlive = "set SO_KEEPALIVE with TCP_KEEPIDLE well below conntrack's timeout; where the program sets SO_KEEPALIVE alone, the pod's sysctl net.ipv4.tcp_keepalive_time"
	anyTimeout   = "set TCP_USER_TIMEOUT (30 s, for instance): what is sent and not acknowledged then ends the connection with ETIMEDOUT, instead of hanging for a quarter of an hour"
	smallerMTU   = "Large packets are lost on the way and small ones are not: let ICMP \"fragmentation needed\" through, give the pods the path's MTU, or set net.ipv4.tcp_mtu_probing=1. Keepalive does not help: its probes are small."
)

// cureFor is what a connection was lost to, as far as a cure asks.
type cureFor int

const (
	nothingLost  cureFor = iota
	entryLost            // the entry was destroyed while the connection was open
	entryExpired         // and by its timeout
	podGone              // the pod that had the connection was taken away
	tooLarge             // packets too large for the path
	notAnswered          // what was sent was not acknowledged, for whatever reason
	finLost              // nothing but a FIN: the other side waits for ever
)

// cureFor names what this connection was lost to.
func (a *Account) cureFor(e *evidence.Evidence) cureFor {
	t := &teller{e: e, a: a}
	lost := slices.Contains([]Outcome{Reset, Hang, Timeout, Reconnected, WrongBackend}, a.Outcome)
	switch silent := a.Outcome == Hang || a.Outcome == Timeout || a.Errno == "ETIMEDOUT" || a.Errno == "EHOSTUNREACH"; {
	case a.Aside || !lost && a.Peer != HalfOpen:
		return nothingLost
	case t.blackHole():
		return tooLarge
	case len(a.Backends) > 0 && t.killed(a.Backends[len(a.Backends)-1]) != nil && silent:
		return podGone
	case a.Errno == "EPIPE", a.Outcome == Reset && t.droppedByServer(): // a server that takes nothing more is no lost entry
		return nothingLost
	case a.Outcome == Hang && a.finLostBy() != "":
		return finLost
	case a.expired(e):
		return entryExpired
	case a.Breaks > 0 && silent:
		return notAnswered
	case a.Breaks > 0:
		return entryLost
	case silent:
		return notAnswered
	}
	return nothingLost // no keepalive and no timeout would have saved it
}

// droppedByServer tells whether the first RST from a server ended a socket that it had, and answered no packet.
func (t *teller) droppedByServer() bool {
	for _, p := range t.a.Packets {
		if p.Flags.Has(packet.RST) && p.Direction == packet.Out && t.e.IsPod(p.At) {
			c := t.whyReset(p)
			return !c.answers && !c.ours
		}
	}
	return false
}

// finLostBy is the side whose FIN is all that was not acknowledged; empty if there is none.
func (a *Account) finLostBy() string {
	side := ""
	for _, i := range a.Balance {
		switch {
		case !i.Decides:
		case i.What == ItemFIN:
			side = i.Side
		case i.What == ItemMessages:
			return ""
		}
	}
	return side
}

// expired tells whether an entry of the connection reached its timeout.
func (a *Account) expired(e *evidence.Evidence) bool {
	return slices.ContainsFunc(a.Events, func(ev *evidence.EntryEvent) bool {
		return e.Translates(ev.Node) && ev.DestroyedBy() == conntrack.Expired
	})
}

// large is from how many bytes of payload on a segment may be too large for a path.
const large = 500

// blackHole tells whether large packets are lost where small ones get through: a router says so, or what is sent again is
// large every time, although no entry was lost and smaller messages had arrived.
func (t *teller) blackHole() bool {
	again, small := 0, false
	for _, p := range t.a.Packets {
		switch {
		case p.Protocol == packet.ICMP && p.Error.Type == destinationUnreachable && p.Error.Code == fragmentationNeeded:
			return true
		case p.At != t.e.ClientAt && !t.e.IsPod(p.At):
		case p.Direction == packet.Out && p.Relative.Repeat == packet.Retransmission && p.Payload < large:
			return false
		case p.Direction == packet.Out && p.Relative.Repeat == packet.Retransmission:
			again++
		case p.Direction == packet.In && p.Payload > 0 && p.Payload < large:
			small = true
		}
	}
	return again > 1 && small && t.a.Breaks == 0
}

// Advice is what helps against what became of these connections, one line each: by what they were lost to and what their
// sockets were set to, in the terms of the programs that held them. It is empty if nothing was lost.
func Advice(e *evidence.Evidence, accounts []*Account) string {
	var out []string
	add := func(text string) {
		if text != "" && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	ends := map[string]bool{} // what the last line has to say
	for _, a := range accounts {
		why := a.cureFor(e)
		sockets := slices.DeleteFunc([]*SocketSettings{a.ClientSocket, a.ServerSocket}, func(s *SocketSettings) bool { return s == nil })
		switch why {
		case tooLarge:
			add(smallerMTU)
		case podGone, notAnswered:
			for _, set := range sockets {
				if set == a.ClientSocket || why == notAnswered {
					add(set.timeoutCure())
				}
			}
			ends["gone"] = ends["gone"] || a.Outcome != Reconnected
		case finLost:
			for _, set := range sockets {
				if waits := (set == a.ClientSocket) != (a.finLostBy() == string(peer.Client)); waits && !set.KeepAlive {
					add(set.keepAliveCure() + " (the " + otherSide(a.finLostBy()) + " still waits: a probe that nobody answers ends that)")
				}
			}
		case entryLost, entryExpired:
			on := slices.IndexFunc(sockets, func(s *SocketSettings) bool { return s.KeepAlive })
			for _, set := range sockets {
				switch {
				case on < 0:
					add(set.keepAliveCure())
				case why == entryExpired && set.KeepAlive:
					add(fmt.Sprintf("%s: keepalive is on, but its first probe comes after %.0f s of silence, and the entry expires before: set TCP_KEEPIDLE, or the pod's "+
						"sysctl net.ipv4.tcp_keepalive_time, well below conntrack's timeout", set.Process, set.IdleS))
				}
			}
			ends["kept"] = ends["kept"] || on < 0
			ends["on"] = ends["on"] || on >= 0 && a.Outcome != Reconnected
		}
	}
	switch {
	case ends["kept"] && len(out) > 0:
		add("And make the client reconnect: keepalive keeps an entry from expiring, it cannot prevent a flush.")
	case ends["on"]:
		add("Make the client reconnect: keepalive is on and keeps an entry from expiring, it cannot prevent a flush.")
	case ends["gone"] && len(out) > 0:
		add("And make the client reconnect: nothing brings back what no longer answers.")
	}
	return strings.Join(out, "\n")
}

// otherSide is the side that faces this one.
func otherSide(side string) string {
	if side == string(peer.Client) {
		return string(peer.Server)
	}
	return string(peer.Client)
}

// keepAliveCure is how this program is made to use keepalive.
func (s *SocketSettings) keepAliveCure() string {
	for _, known := range applications {
		if slices.Contains(known.names, path.Base(s.Process)) {
			return known.keepalive
		}
	}
	return s.Process + ": " + anyKeepAlive
}

// timeoutCure is how this program is made to give up what is not acknowledged; empty if it does so already.
func (s *SocketSettings) timeoutCure() string {
	if s.UserTimeoutS > 0 {
		return ""
	}
	for _, known := range applications {
		if slices.Contains(known.names, path.Base(s.Process)) && known.timeout != "" {
			return known.timeout
		}
	}
	return s.Process + ": " + anyTimeout
}
