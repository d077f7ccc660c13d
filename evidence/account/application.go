package account

import (
	"path"
	"slices"
	"strings"
)

// applications are what helps programs in their own terms, by the name of the process that holds the socket. Each was
// read in the program's own documentation.
var applications = []struct {
	names []string
	cure  string
}{
	{[]string{"psql", "pg_dump", "pg_restore", "pgbench", "pg_isready", "vacuumdb"},
		"libpq: keepalives_idle=60 keepalives_interval=10 keepalives_count=3 in the connection string, and tcp_user_timeout=30000 against hangs"},
	{[]string{"postgres"}, "PostgreSQL: tcp_keepalives_idle = 60, tcp_keepalives_interval = 10 in postgresql.conf"},
	{[]string{"redis-cli"}, "redis-cli sets keepalive to 15 s by itself; of a client library switch on keepalive and health checks"},
	{[]string{"redis-server", "valkey-server"}, "Redis: tcp-keepalive 60 in redis.conf (its default is 300)"},
	{[]string{"ssh"}, "ssh: ServerAliveInterval 60 and ServerAliveCountMax 3 in ssh_config, or -o on the command line"},
	{[]string{"sshd", "sshd-session"}, "sshd: ClientAliveInterval 60 in sshd_config"},
	{[]string{"curl"}, "curl: --keepalive-time 30 (its default is 60), --max-time against hangs, --retry for requests that may be repeated"},
	{[]string{"nginx"}, "nginx: listen … so_keepalive=60s:10s:3 for clients, proxy_socket_keepalive on and upstream keepalive_timeout for backends"},
	{[]string{"ab"}, "ab sets no keepalive and stops at the first reset; -r goes on"},
	{[]string{"java"}, "JDBC: tcpKeepAlive=true (PostgreSQL, MySQL), with TCP_KEEPIDLE from the pod's sysctl net.ipv4.tcp_keepalive_time; pools: HikariCP keepaliveTime and maxLifetime below the timeout"},
	{[]string{"mysql", "mariadb", "mysqld", "mariadbd"}, "MySQL: keepalive is on with the kernel's 7200 s; set the pod's sysctl net.ipv4.tcp_keepalive_time, or wait_timeout below conntrack's"},
	{[]string{"node"}, "Node.js: socket.setKeepAlive(true, 60000); http.Agent({keepAlive: true}) needs it too"},
	{[]string{"python", "python3"}, "Python: setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1) and setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, 60)"},
	{[]string{"socat"}, "socat: keepalive,keepidle=60,keepintvl=10,keepcnt=3 behind the address"},
	{[]string{"beam.smp"}, "RabbitMQ: heartbeat 60; Erlang: {keepalive, true}"},
	{[]string{"mongod", "mongos", "mongosh"}, "MongoDB: keepalive of 120 s is on; its drivers: maxIdleTimeMS below the timeout"},
}

// anyProgram is what helps a program that is not known.
const anyProgram = "set SO_KEEPALIVE with TCP_KEEPIDLE well below conntrack's timeout; where the program sets SO_KEEPALIVE alone, the pod's sysctl net.ipv4.tcp_keepalive_time"

// Advice is what helps the programs that held the sockets of these connections, one line each.
func Advice(accounts []*Account) string {
	var out []string
	for _, a := range accounts {
		for _, set := range []*SocketSettings{a.ClientSocket, a.ServerSocket} {
			if set == nil {
				continue
			}
			text := set.Process + ": " + anyProgram
			for _, known := range applications {
				if slices.Contains(known.names, path.Base(set.Process)) {
					text = known.cure
				}
			}
			if !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	if len(out) == 0 {
		return ""
	}
	return strings.Join(append(out, "And make the client reconnect: keepalive keeps an entry from expiring, it cannot prevent a flush."), "\n")
}
