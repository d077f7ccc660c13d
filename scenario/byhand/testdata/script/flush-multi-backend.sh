#!/usr/bin/env bash
# flush-multi-backend: the entry is flushed, the flow is re-routed to another backend, and the client is reset
#
# The node picks a backend once, when a connection begins, and remembers it in its conntrack entry. When the
# entry is gone, the next packet is no SYN but is translated afresh: with N backends it goes astray with
# probability (N-1)/N. The pod it reaches has never heard of the connection and answers RST.
#
# Made by `ctsim script flush-multi-backend`: what `ctsim run flush-multi-backend` does, by hand.
#
#   sudo bash flush-multi-backend.sh
#   bash flush-multi-backend.sh          without root, in a user namespace
#
# It needs iproute2, iptables, conntrack and procps, and ctsim (client and server only) in PATH or named by CTSIM.
# Everything happens in namespaces of the script's own, under a /run of its own. They end with it, however it ends:
# nothing of it is ever on the host, and nothing stays. The outcome is its last line; exit code 0: as the scenario
# expects, 1: not so, 3: this machine cannot run it, 4: it cannot be told.
set -euo pipefail

export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin LC_ALL=C
if [ -z "${CTSIM_SCRIPT:-}" ]; then
	for command in ip iptables-restore conntrack ss sysctl unshare awk "${CTSIM:-ctsim}"; do
		if ! command -v "$command" >/dev/null; then
			echo "$command: not found" >&2
			if [ "$command" = "${CTSIM:-ctsim}" ]; then echo "hint: CTSIM=/path/to/ctsim bash $0" >&2; fi
			exit 3
		fi
	done
	if [ ! -f "$0" ]; then
		echo "the script starts itself again in namespaces of its own, so it has to be a file" >&2
		exit 3
	fi
	user=()
	if [ "$(id -u)" -ne 0 ]; then user=(--user --map-root-user); fi
	# The pid namespace ends every process below with its first one.
	CTSIM=$(command -v "${CTSIM:-ctsim}") CTSIM_SCRIPT=$$ \
		exec unshare "${user[@]}" --net --mount --pid --fork --kill-child bash "$0" "$@" </dev/null
fi
mount -t tmpfs tmpfs /run # ip netns keeps its names there, iptables-legacy its lock
mkdir /run/log

# ---- functions -------------------------------------------------------------------------------------------------------

# step TEXT: says what is done next.
step() { printf '%s %s\n' "$(date +%T)" "$1"; }

# breaks TEXT: a step that may break connections, noted between the events of conntrack. Only what is sent after it tells
# whether it has.
breaks() {
	step "$1"
	echo "# break: $1" >>/run/events
}

fail() {
	echo "$1" >&2
	exit 3
}

# inconclusive TEXT: what was waited for did not come, so nothing can be concluded.
inconclusive() {
	echo "outcome: inconclusive, $1"
	exit 4
}

# namespace NAME: an empty one that makes no noise of its own.
namespace() {
	ip netns add "$1"
	ip netns exec "$1" sysctl -qe -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	ip -n "$1" link set lo up
}

# node NAME ADDRESS GATEWAY/BITS: a bridge for the pods, and a default route into a sink: without one, packets that are
# not translated die in routing, before the filter rules see them.
node() {
	namespace "$1"
	ip -n "$1" link add cni0 up type bridge mcast_snooping 0
	ip -n "$1" addr add "$3" dev cni0
	ip -n "$1" link add sink up arp off type bridge mcast_snooping 0
	ip -n "$1" addr add "$2/32" dev sink
	ip -n "$1" route add default dev sink src "$2"
	ip netns exec "$1" sysctl -q -w net.ipv4.ip_forward=1
}

# pod NAME ADDRESS/BITS NODE GATEWAY
pod() {
	namespace "$1"
	ip -n "$3" link add "veth-$1" up master cni0 type veth peer name eth0 netns "$1"
	ip -n "$1" addr add "$2" dev eth0
	ip -n "$1" link set eth0 up
	ip -n "$1" route add default via "$4"
}

# set_sysctls NAME KEY=VALUE…
set_sysctls() { ip netns exec "$1" sysctl -q -w "${@:2}"; }

# links_up: a frame that is sent before its link is up is lost, and its retransmission takes a second.
links_up() {
	local name
	for name in $(ip netns list | cut -d' ' -f1); do
		while ip -n "$name" -o link show type veth | grep -qv 'state UP'; do sleep 0.01; done
	done
}

# install_rules: on every node, all at once, as kube-proxy does. Conntrack entries are left alone.
install_rules() {
	local node
	for node in $nodes; do rules "$endpoints" | ip netns exec "$node" iptables-restore -w 5; done
}

# listen: conntrack's events on the client's node, from before the first packet on.
listen() {
	: >/run/events
	ip netns exec master conntrack -E >>/run/events 2>/dev/null &
	caught_up
}

# caught_up waits until every event up to now is written: one that is provoked comes after all others. The addresses are
# for documentation, no packet has them.
caught_up() {
	local tries=0
	marks=$((marks + 1))
	while ! grep -q "dst=192.0.2.2 sport=$marks " /run/events; do
		ip netns exec master conntrack -I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport $marks --dport 9 -t 1 >/dev/null 2>&1 || true
		[ "$((tries += 1))" -le 2000 ] || fail "conntrack -E says nothing on master"
		sleep 0.01
	done
	ip netns exec master conntrack -D -p udp -s 192.0.2.1 >/dev/null 2>&1 || true
}

# note TEXT: a line between the events of conntrack, after all that have happened up to now.
note() {
	caught_up
	echo "# $1" >>/run/events
}

# led_to PORT: the addresses that the entries of the client's port led to, one after the other.
led_to() {
	caught_up
	sed -nE "s/.*\[NEW\].* dst=$service_address sport=$1 dport=[0-9]+ (\[UNREPLIED\] )?src=([0-9.]+) .*/\\2/p" /run/events
}

# rerouted PORT: its entry leads to another pod than its first.
rerouted() {
	local all
	all=$(led_to "$1")
	[ "$(head -n 1 <<<"$all")" != "$(tail -n 1 <<<"$all")" ]
}

# pod_of ADDRESS
pod_of() {
	local name
	for name in "${!address[@]}"; do
		if [ "${address[$name]}" = "$1" ]; then echo "$name"; fi
	done
}

# flush NODE
flush() { ip netns exec "$1" conntrack -F 2>/dev/null; }

# start NAME POD COMMAND…: a program that is typed into through /run/NAME.in and writes to /run/log/NAME.
start() {
	mkfifo "/run/$1.in"
	: >"/run/log/$1"
	ip netns exec "$2" "$CTSIM" "${@:3}" 0<>"/run/$1.in" >>"/run/log/$1" 2>&1 &
	pids[$1]=$!
}

# serve POD: the server, as the article's; it answers nothing.
serve() {
	start "$1" "$1" server "0.0.0.0:$port" --timestamps --keep-open "${server_flags[@]}"
	until grep -q ' listening on ' "/run/log/$1"; do
		running "$1" || fail "$(cat "/run/log/$1")"
		sleep 0.01
	done
}

# connect NUMBER COUNT FROM FLAG…: a client with that many connections, the first of which has this number.
connect() {
	clients="$clients $1"
	start "client-$1" "$client" client "$service" --timestamps --await --bind "$3" "${client_flags[@]}" "${@:4}"
	until [ "$(grep -c ' connect ' "/run/log/client-$1")" -ge "$2" ]; do
		running "client-$1" || break
		sleep 0.01
	done
}

running() { kill -0 "${pids[$1]}" 2>/dev/null; }

# tell NAME LINE: types a line into a program and waits until it has done what the line says. A client that has lost its
# connection has ended, and does nothing any more.
tell() {
	told=$((told + 1))
	printf '%s\n/say done %d\n' "$2" "$told" 1<>"/run/$1.in"
	until grep -q " done $told\$" "/run/log/$1"; do
		running "$1" || return 0
		sleep 0.01
	done
}

# client_port NUMBER: the source port of a connection.
client_port() {
	local first file=
	for first in $clients; do
		if [ "$first" -le "$1" ]; then file=/run/log/client-$first; fi
	done
	sed -nE "s/^[^ ]+ ($1 )?connect .* from [^ ]+:([0-9]+)\$/\\2/p" "$file" | head -n 1
}

# message: what is sent next, with the number of its connection in front, so that a server's log tells whose it is.
message() {
	sent=$((sent + 1))
	message="message-$sent"
}

# send NUMBER PREFIX: the client with that connection sends, and waits until the message is acknowledged, was sent again
# twice, or the socket is closed. What is acknowledged is waited for in the servers' logs.
send() {
	note "message-$sent from client-$1"
	tell "client-$1" "$2$message"
	if tail -n 2 "/run/log/client-$1" | grep -q ' fate: acknowledged'; then
		timeout 5 bash -c 'until grep -q " recv: .*$0" /run/log/s*; do sleep 0.01; done' "$message" || true
	fi
}

# server_does LINE: every server that has a connection does what the line says.
server_does() {
	local log
	for log in /run/log/server-*; do
		if grep -q ' accept from ' "$log" && running "${log##*/}"; then tell "${log##*/}" "$1"; fi
	done
}

# said: what all programs wrote, in the order of time, each line with its program in front. What has an earlier time than
# the beginning was written after midnight.
said() {
	local log
	for log in /run/log/*; do sed "s/^/${log##*/} /" "$log"; done |
		awk -v began="$began" '{ print ($2 < began ? 1 : 0), $0 }' | sort -s -k 1,1 -k 3,3 | cut -d ' ' -f 2-
}

# sockets: what ss says of every socket of a connection: the namespace, the state, Recv-Q, Send-Q, both addresses, the timer.
sockets() {
	local name
	for name in $(ip netns list | cut -d ' ' -f 1); do
		ip netns exec "$name" ss -tnoaH | awk -v name="$name" '$1 != "LISTEN" { $1 = name " " $1; print }'
	done
}

# facts: what is known of each connection, from what both programs said, from ss, and from /run/story, in which the notes of
# what was sent, and of what may break a connection, stand between the events of conntrack. A line for each connection,
# its number and then NAME=VALUE; what is not known is left out.
facts() {
	{ said; sockets | sed 's/^/ss /'; cat /run/story; } | awk -v all="$connections" -v place="$client" '
		function set(n, name, value) { fact[n, name] = value }
		function errno(text) { return match(text, /: E[A-Z0-9]+ \(/) ? substr(text, RSTART + 2, RLENGTH - 4) : "" }
		# call: a call of one side of a connection. The first error that a program is told is kept, but not that of using
		# what it has ended itself.
		function call(n, text, side,    e) {
			e = errno(text)
			if (text ~ /^(shutdown|close)$/) set(n, side "_ended", 1)
			if (text ~ /^send: [0-9]/) sends[n, side]++
			if (text ~ /^error: E/) set(n, side "_waits", e)
			if (text !~ /^(connect|send|recv|shutdown)[ :]/ || e == "" || e == "ENOTCONN" || (n, "error") in fact) return
			if ((n, side "_ended") in fact && e ~ /^(EPIPE|EBADF)$/) return
			set(n, "error", e)
			set(n, "error_at", side)
			set(n, "error_of", text ~ /^connect/ ? "connect" : "use")
		}
		# The notes of the script: message-3 from client-1. What is sent later has a higher number.
		$1 == "#" && $2 == "break:" { broken = number; next }
		$1 == "#" {
			number = substr($2, 9)
			told[$4] = number
			next
		}
		# Conntrack: the loss of an entry, by whatever, breaks too.
		$1 ~ /^\[/ {
			if (!match($0, / sport=[0-9]+/)) next
			from = substr($0, RSTART + 7, RLENGTH - 7)
			if ($1 == "[DESTROY]") lost[from] = number
			else tracked[from] = $5
			next
		}
		# A socket is found by its own address on the side of the client, and by that of its peer on a server.
		$1 == "ss" {
			again = match($0, /timer:\(on,[^,]+,[0-9]+/) ? substr($0, RSTART, RLENGTH) : 0
			sub(/.*,/, "", again)
			socket[$2, $6] = socket[$2, $7] = $3 " " $4 " " $5 " " again
			next
		}
		$1 ~ /^client-/ {
			n = substr($1, 8)
			text = $0
			sub(/^[^ ]+ [^ ]+ /, "", text)
			if (text ~ /^[0-9]+ /) {
				n = text
				sub(/ .*/, "", n)
				sub(/^[0-9]+ /, "", text)
			}
			program[n] = $1
			if (text ~ /^connect .* from /) {
				address[n] = text
				sub(/.* from /, "", address[n])
				port = address[n]
				sub(/.*:/, "", port)
				set(n, "port", port)
				owner[address[n]] = n
			}
			if (text ~ /^send: /) last_error[n] = ""
			if (text ~ /^(send|recv): E/) last_error[n] = errno(text)
			if (match(text, /^recv: [0-9]+ bytes "[0-9]+ message-[0-9]+/)) {
				sub(/.*message-/, "", text)
				answer[n] = text + 0
			}
			call(n, text, "client")
			next
		}
		# Servers: a message has the number of its connection in front; what else a server says of a peer is of the same one,
		# or else of the one with that address.
		$3 == "accept" { delete of[$1, $5]; next }
		$3 ~ /^[0-9.]+:[0-9]+$/ {
			text = $0
			sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", text)
			got = 0
			if (match(text, /^recv: [0-9]+ bytes "/)) got = split(substr(text, RSTART + RLENGTH), messages, /\\n/)
			for (i = 1; i < got; i++) {
				if (messages[i] !~ /^[0-9]+ message-[0-9]+$/) continue
				split(messages[i], words, / message-/)
				of[$1, $3] = n = words[1]
				if (!((n, "first") in fact)) set(n, "first", $1)
				set(n, "last", $1)
				set(n, "newest", words[2])
				arrived[n, $1]++
			}
			n = ($1, $3) in of ? of[$1, $3] : owner[$3]
			if (n == "") next
			server[n] = $1
			peer[n] = $3
			if (text ~ /^send: /) spoke[n] = (errno(text) == "")
			call(n, text, "server")
		}
		# end: one side of a connection as ss has it.
		function end(n, side, name, address,    words) {
			if (!((name, address) in socket)) return
			split(socket[name, address], words, " ")
			set(n, side, words[1])
			set(n, side "_unread", words[2])
			set(n, side "_unacked", words[3])
			set(n, side "_again", words[4])
		}
		END {
			names = "port error error_at error_of client client_unread client_unacked client_again client_ended client_waits " \
				"server server_unread server_unacked server_again server_ended server_waits first last newest told answer last_error " \
				"sent arrived broken spoke tracked"
			count = split(names, name, " ")
			for (n = 1; n <= all; n++) {
				port = fact[n, "port"]
				if (owner[address[n]] == n) end(n, "client", place, address[n])
				end(n, "server", server[n], peer[n])
				set(n, "told", told[program[n]])
				set(n, "answer", answer[n])
				set(n, "last_error", last_error[n])
				set(n, "sent", sends[n, "client"] + 0)
				set(n, "arrived", arrived[n, fact[n, "last"]] + 0)
				set(n, "broken", lost[port] + 0 > broken + 0 ? lost[port] : broken + 0)
				if (spoke[n]) set(n, "spoke", told["servers"])
				set(n, "tracked", tracked[port])
				line = n
				for (i = 1; i <= count; i++) if (fact[n, name[i]] != "") line = line " " name[i] "=" fact[n, name[i]]
				print line
			}
		}'
}

# outcomes: what became of each connection: "NUMBER OUTCOME PORT", and what that rests on. The first rule that can tell
# decides; where none can, it is inconclusive, with what could not be told.
outcomes() {
	facts | awk -v udp="$udp" -v servers=" ${!address[*]} " '
		function say(outcome, why) { print fact["number"], outcome, (fact["port"] == "" ? "-" : fact["port"]), why }
		function unknown(why) { say("inconclusive", why) }
		function many(n, what) { return n " " what (n == 1 ? "" : "s") }
		# meaning: what an error of the kernel means for a connection.
		function meaning(errno, of) {
			if (errno == "ECONNREFUSED" && of == "connect") return "refused"
			if (errno ~ /^(ECONNRESET|EPIPE|ECONNABORTED)$/) return "reset"
			if (errno ~ /^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|ECONNREFUSED)$/) return "timeout"
			return "inconclusive"
		}
		# strange: a pod that is none of the service.
		function strange(pod) { return !index(servers, " " pod " ") }
		# stuck: a side of a TCP connection that has sent again what was sent last.
		function stuck(side) { return fact[side "_again"] > 0 && fact[side] != "" }
		function stuck_text(side) {
			return "what the " side " sent last was sent again " many(fact[side "_again"], "time") \
				" and is not acknowledged, its socket is " fact[side]
		}
		# over: a side whose kernel has closed the socket, and whose program has not looked yet. The error that waits on a
		# socket which is still there is one that TCP gets over.
		function over(side) { return fact[side] == "" && fact[side "_waits"] != "" }
		function over_text(side) { return "the " side "\047s socket is gone, and " fact[side "_waits"] " waits for its program" }
		function ending(side) { return fact[side] ~ /^(FIN-WAIT-1|CLOSING|LAST-ACK)$/ }
		function state(side) { return fact[side] == "" ? "gone" : fact[side] }
		function states() { return "the client\047s socket is " state("client") ", the server\047s " state("server") }
		function stream(    both, newest) {
			both = state("client") " " state("server")
			newest = fact["newest"] > fact["spoke"] ? fact["newest"] : fact["spoke"]
			if (fact["error"] != "")
				say(meaning(fact["error"], fact["error_of"]), "the " fact["error_at"] " got " fact["error"])
			else if (fact["port"] == "")
				unknown("it was never opened")
			else if (over("client"))
				say(meaning(fact["client_waits"], "use"), over_text("client"))
			else if (over("server"))
				say(meaning(fact["server_waits"], "use"), over_text("server"))
			else if (stuck("client"))
				say("hang", stuck_text("client"))
			else if (stuck("server"))
				say("hang", stuck_text("server"))
			else if (ending("client") || ending("server"))
				unknown("a FIN may still be on its way: " states())
			else if (fact["first"] != fact["last"])
				say("wrong-backend", "the first message arrived at " fact["first"] ", the last at " fact["last"])
			else if (fact["last"] != "" && strange(fact["last"]))
				say("wrong-backend", "what was sent arrived at " fact["last"] ", which is no pod of the service")
			else if (fact["client_ended"] && fact["server_ended"] && both ~ /^(gone|TIME-WAIT) (gone|TIME-WAIT)$/ &&
				fact["tracked"] == "TIME_WAIT")
				say("closed", "both programs have ended it, and conntrack saw the acknowledgement of the last FIN")
			else if (both !~ /^(ESTAB ESTAB|FIN-WAIT-2 CLOSE-WAIT|CLOSE-WAIT FIN-WAIT-2)$/)
				unknown(states())
			else if (fact["arrived"] < fact["sent"])
				unknown((fact["sent"] - fact["arrived"]) " of the client\047s " many(fact["sent"], "message") " did not arrive")
			else if (fact["client_unacked"] > 0 || fact["server_unacked"] > 0)
				unknown(many(fact["client_unacked"] + fact["server_unacked"], "byte") " are not acknowledged")
			else if (fact["server_unread"] > 0) # a client reads only when it is told to
				unknown(many(fact["server_unread"], "byte") " lie unread at the server")
			else if (newest <= fact["broken"])
				unknown("nothing was sent since the last break")
			else
				say("survived", (both == "ESTAB ESTAB" ? "" : "half-closed: ") "the sockets are " state("client") " and " \
					state("server") ", and all that was sent arrived, message-" newest " after the last break")
		}
		# datagrams: each is on its own, so the last one tells.
		function datagrams(    last) {
			last = "message-" fact["told"]
			if (fact["told"] == "" || fact["told"] <= fact["broken"])
				unknown("nothing was sent since the last break")
			else if (fact["newest"] != fact["told"] && fact["last_error"] == "ECONNREFUSED")
				say("refused", last " was refused: the client got ECONNREFUSED")
			else if (fact["newest"] != fact["told"] && fact["last_error"] != "")
				say(meaning(fact["last_error"], "use"), "the client got " fact["last_error"])
			else if (fact["newest"] != fact["told"])
				say("hang", last " arrived nowhere")
			else if (strange(fact["last"]))
				say("wrong-backend", last " arrived at " fact["last"] ", which is no pod of the service")
			else if (fact["answer"] != fact["told"])
				say("hang", last " arrived at " fact["last"] ", and its answer did not come")
			else
				say("survived", last " arrived at " fact["last"] ", and its answer at the client")
		}
		{
			split("", fact)
			fact["number"] = $1
			for (i = 2; i <= NF; i++) {
				value = substr($i, index($i, "=") + 1)
				fact[substr($i, 1, index($i, "=") - 1)] = value ~ /^[0-9]+$/ ? value + 0 : value
			}
			if (udp) datagrams()
			else stream()
		}'
}

# settle judges until nothing is inconclusive any more, for two seconds: what was sent last may still be on its way.
settle() {
	local tries=0 n
	if [ "$udp" = 0 ]; then
		for n in $clients; do if running "client-$n"; then tell "client-$n" /error; fi; done
		server_does /error
	fi
	until outcomes >/run/outcomes && ! cut -d ' ' -f 2 /run/outcomes | grep -qx inconclusive; do
		tries=$((tries + 1))
		[ "$tries" -le 20 ] || break
		sleep 0.1
	done
	[ "$(wc -l </run/outcomes)" = "$connections" ] || inconclusive "not every connection could be judged"
}

# show prints what was seen.
show() {
	local n outcome from why to
	echo
	echo "what conntrack -E said on master, and what was done between:"
	grep -v 192.0.2.1 /run/story
	echo
	echo "what the programs said:"
	said | grep -vE ' (done [0-9]+|error: none|listening on .*)$' | awk '{ who = $1; $1 = ""; printf "%-9s%s\n", who, $0 }'
	if [ "$udp" = 0 ]; then
		echo
		echo "what ss says (state, Recv-Q, Send-Q, the socket's address, its peer's, timer):"
		sockets | awk '{ who = $1; $1 = ""; printf "%-9s%s\n", who, $0 }'
	fi
	echo
	while read -r n outcome from why; do
		to=
		if [ "$from" != - ]; then to=$(for a in $(led_to "$from"); do pod_of "$a"; done | uniq | paste -sd' '); fi
		echo "connection $n: $outcome${to:+, translated to ${to// /, then }}: $why"
	done </run/outcomes
}

# finish says what became of the connections, and ends the script: 0 if it is what the scenario expects, 1 if not, 4 if
# that cannot be told.
finish() {
	local n outcome from why counts wrong=${commands_wrong:-0} open=
	caught_up
	cp /run/events /run/story
	settle
	if [ "$connections" -le 10 ]; then show; fi
	while read -r n outcome from why; do
		if [ "$outcome" = inconclusive ]; then
			open=${open:-connection $n: $why}
		elif [ "$(expected "$n")" != any ] && [ "$(expected "$n")" != "$outcome" ]; then
			wrong=$((wrong + 1))
		fi
	done </run/outcomes
	if [ -z "$open" ]; then within_chance </run/outcomes || wrong=1; fi
	counts=$(cut -d ' ' -f 2 /run/outcomes | sort | uniq -c | awk '{ printf "%s%d %s", sep, $1, $2; sep = ", " }')
	if [ "$wrong" -gt 0 ]; then
		echo "outcome: $counts; not as expected"
		exit 1
	elif [ -n "$open" ]; then
		echo "outcome: $counts; $open"
		exit 4
	fi
	echo "outcome: $counts"
	exit 0
}

# ---- what the script knows of the world ------------------------------------------------------------------------------

nodes='master node1'
service=10.108.33.37:2222 service_address=10.108.33.37 port=2222 protocol=tcp udp=0
client=client client_flags=() server_flags=(--speak --await)
pods='server-1 server-2'      # the server pods that are alive
endpoints='server-1 server-2' # those that the service leads to
declare -A address=(
	[server-1]=172.18.166.130
	[server-2]=172.18.166.131
)
declare -A pids=()
clients="" message="" told=0 sent=0 marks=0 began=$(date +%T)
# The client connects from 172.18.219.65.

# rules ENDPOINTS: kube-proxy's, as iptables-save prints them (`ctsim show flush-multi-backend --rules`).
rules() {
	case $1 in
	"server-1 server-2")
		cat <<'RULES'
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-A OUTPUT -j KUBE-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SEP-PJ4FHXCE35HSVDDE - [0:0]
:KUBE-SEP-STD4CE2EJGJOOEBY - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-OU4YAF3JEHVEJFUL - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SEP-PJ4FHXCE35HSVDDE -s 172.18.166.130/32 -m comment --comment "default/myservice" -j KUBE-MARK-MASQ
-A KUBE-SEP-PJ4FHXCE35HSVDDE -p tcp -m comment --comment "default/myservice" -m tcp -j DNAT --to-destination 172.18.166.130:2222
-A KUBE-SEP-STD4CE2EJGJOOEBY -s 172.18.166.131/32 -m comment --comment "default/myservice" -j KUBE-MARK-MASQ
-A KUBE-SEP-STD4CE2EJGJOOEBY -p tcp -m comment --comment "default/myservice" -m tcp -j DNAT --to-destination 172.18.166.131:2222
-A KUBE-SERVICES -d 10.108.33.37/32 -p tcp -m comment --comment "default/myservice cluster IP" -m tcp --dport 2222 -j KUBE-SVC-OU4YAF3JEHVEJFUL
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-OU4YAF3JEHVEJFUL ! -s 172.18.0.0/16 -d 10.108.33.37/32 -p tcp -m comment --comment "default/myservice cluster IP" -m tcp --dport 2222 -j KUBE-MARK-MASQ
-A KUBE-SVC-OU4YAF3JEHVEJFUL -m comment --comment "default/myservice -> 172.18.166.130:2222" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-PJ4FHXCE35HSVDDE
-A KUBE-SVC-OU4YAF3JEHVEJFUL -m comment --comment "default/myservice -> 172.18.166.131:2222" -j KUBE-SEP-STD4CE2EJGJOOEBY
COMMIT
RULES
		;;
	*) fail "no rules for these endpoints: $1" ;;
	esac
}

# ---- the world -------------------------------------------------------------------------------------------------------

node master 192.168.122.20 172.18.219.1/24
set_sysctls master \
	net.netfilter.nf_conntrack_tcp_timeout_established=86400 \
	net.netfilter.nf_conntrack_tcp_timeout_close_wait=3600
pod client 172.18.219.65/24 master 172.18.219.1
node node1 192.168.122.21 172.18.166.1/23
set_sysctls node1 \
	net.netfilter.nf_conntrack_tcp_timeout_established=86400 \
	net.netfilter.nf_conntrack_tcp_timeout_close_wait=3600
pod server-1 172.18.166.130/23 node1 172.18.166.1
pod server-2 172.18.166.131/23 node1 172.18.166.1

ip -n master link add eth0 up type veth peer name eth0 netns node1
ip -n master addr add 192.168.122.20/24 dev eth0
ip -n master link set eth0 up
ip -n node1 addr add 192.168.122.21/24 dev eth0
ip -n node1 link set eth0 up
ip -n master route add 172.18.166.0/23 via 192.168.122.21
ip -n node1 route add 172.18.219.0/24 via 192.168.122.20
links_up

# ---- who listens, before the first packet: else it hears nothing of the connection -----------------------------------

listen
for pod in $pods; do serve "$pod"; done

# ---- the rules -------------------------------------------------------------------------------------------------------

install_rules

# ---- the case --------------------------------------------------------------------------------------------------------

step 'connect to the service'
connect 1 1 172.18.219.65

step 'client sends a message'
message
send 1 '1 '

step 'repeat until the flow is re-routed to another backend'
rounds=0
until rerouted "$(client_port 1)"; do
	rounds=$((rounds + 1))
	[ "$rounds" -le 64 ] || inconclusive "not re-routed in 64 rounds"
	breaks 'flush the conntrack table of every node'
	for node in $nodes; do flush "$node"; done
	step 'client sends a message'
	message
	send 1 '1 '
done

step 'client sends a message'
message
send 1 '1 '

# ---- what became of it -----------------------------------------------------------------------------------------------

# expected NUMBER: the outcome that the scenario expects of a connection.
expected() {
	case $1 in
	*) echo reset ;;
	esac
}

within_chance() { :; }

connections=1
finish
