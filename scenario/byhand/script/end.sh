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
