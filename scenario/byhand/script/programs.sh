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

# server_sends: every server that has a connection sends the message on it.
server_sends() {
	note "message-$sent from servers"
	server_does "$message"
}

# server_does LINE: every server that has a connection does what the line says.
server_does() {
	local log
	for log in /run/log/server-*; do
		if grep -q ' accept from ' "$log" && running "${log##*/}"; then tell "${log##*/}" "$1"; fi
	done
}

# server_closed COUNT SECONDS: until so many connections of the servers are closed by their kernel.
server_closed() {
	local tries=0
	until [ "$(cat /run/log/server-* | grep -cE ' (recv|send): E[A-Z0-9]+ ')" -ge "$1" ]; do
		tries=$((tries + 1))
		[ $((tries / 50)) -lt "$2" ] || inconclusive "the server's socket was not closed within $2 s"
		sleep 0.02
	done
}
