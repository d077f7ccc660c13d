# said: what all programs wrote, in the order of time, each line with its program in front.
said() { for log in /run/log/*; do sed "s/^/${log##*/} /" "$log"; done | sort -s -k 2,2; }

# outcomes: what became of each connection, from what both programs said: "NUMBER OUTCOME ERRNO SIDE PORT". The first
# error decides; without one, the state that the sockets are left in.
outcomes() {
	said | awk -v all="$connections" -v udp="$udp" '
		function noted(n, text, side) {
			if (n != "" && match(text, /: E[A-Z0-9]+ \(/) && !(n in errno)) {
				errno[n] = substr(text, RSTART + 2, RLENGTH - 4)
				side_of[n] = side
			}
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
			if (text ~ /^connect .* from /) {
				connected[n] = 1
				port[n] = text
				sub(/.*:/, "", port[n])
				at[port[n]] = n
			}
			if (text == "recv: nothing came" && !udp) text = "recv: ETIMEDOUT ("
			if (text ~ /^(connect|send|recv|shutdown|lost)/) noted(n, text, "client")
			if (text ~ /^state: /) state[n] = $0
			if (text ~ /^(state: CLOSE,|wait: closed|fate: the socket is closed)/) closed[n] = 1
			next
		}
		$3 ~ /^[0-9.]+:[0-9]+$/ {
			peer = $1 " " $3
			if (match($0, /recv: [0-9]+ bytes "[0-9]+ message-/)) {
				n = substr($0, RSTART, RLENGTH)
				sub(/.*"/, "", n)
				sub(/ .*/, "", n)
				of[peer] = n
				if (!(n in first)) first[n] = $1
				last[n] = $1
			}
			n = peer in of ? of[peer] : at[substr($3, index($3, ":") + 1)]
			noted(n, $0, "server")
			if ($0 ~ / state: /) state["server " n] = state["server " n] $0
		}
		function sent_again(text) { return text ~ /, [1-9][0-9]* retransmits/ }
		END {
			for (n = 1; n <= all; n++) {
				e = errno[n]
				if (e == "ECONNREFUSED") outcome = "refused"
				else if (e == "ECONNRESET" || e == "EPIPE") outcome = "reset"
				else if (e ~ /^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/ || !connected[n]) outcome = "timeout"
				else if (closed[n]) outcome = "reset"
				else if (sent_again(state[n]) || sent_again(state["server " n])) outcome = "hang"
				else if (!udp && (first[n] != last[n] || last[n] == "stranger")) outcome = "wrong-backend"
				else outcome = "survived"
				print n, outcome, (e == "" ? "-" : e), (e == "" ? "-" : side_of[n]), (port[n] == "" ? "-" : port[n])
			}
		}'
}

# finish prints what was seen, and ends the script: 0 if it is what the scenario expects, 1 if not.
finish() {
	local n outcome errno side from to counts wrong=0
	if [ "$udp" = 0 ]; then
		for n in $clients; do if running "client-$n"; then tell "client-$n" /state; fi; done
		server_does /state
	fi
	caught_up
	outcomes >/run/outcomes
	if [ "$connections" -le 10 ]; then
		echo
		echo "what conntrack -E said on master:"
		grep -v 192.0.2.1 /run/events
		echo
		echo "what the programs said:"
		said | grep -vE ' (done [0-9]+|listening on .*)$' | awk '{ who = $1; $1 = ""; printf "%-9s%s\n", who, $0 }'
		echo
		while read -r n outcome errno side from; do
			to=
			if [ "$from" != - ]; then to=$(for a in $(led_to "$from"); do pod_of "$a"; done | uniq | paste -sd' '); fi
			echo "connection $n: $outcome$([ "$errno" = - ] || echo ", $errno at the $side")${to:+, translated to ${to// /, then }}"
		done </run/outcomes
	fi
	while read -r n outcome errno side from; do
		[ "$(expected "$n")" = any ] || [ "$(expected "$n")" = "$outcome" ] || wrong=$((wrong + 1))
	done </run/outcomes
	within_chance </run/outcomes || wrong=1
	wrong=$((wrong + ${commands_wrong:-0}))
	counts=$(cut -d' ' -f2 /run/outcomes | sort | uniq -c | awk '{ printf "%s%d %s", sep, $1, $2; sep = ", " }')
	if [ "$wrong" -gt 0 ]; then
		echo "outcome: $counts; not as expected"
		exit 1
	fi
	echo "outcome: $counts"
	exit 0
}
