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
