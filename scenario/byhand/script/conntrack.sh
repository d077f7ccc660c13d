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

# serving: the pod that the first connection leads to.
serving() { pod_of "$(led_to "$(client_port 1)" | tail -n 1)"; }

# pod_of ADDRESS
pod_of() {
	local name
	for name in "${!address[@]}"; do
		if [ "${address[$name]}" = "$1" ]; then echo "$name"; fi
	done
}

# flush NODE
flush() { ip netns exec "$1" conntrack -F 2>/dev/null; }

# entries NODE PORT: those of the client's port.
entries() { ip netns exec "$1" conntrack -L -p "$protocol" 2>/dev/null | grep " [sd]port=$2 " || true; }

# expired PORT SECONDS: until the entry is gone by itself. Reading the table makes the kernel throw away what has expired.
expired() {
	local tries=0
	while [ -n "$(entries master "$1")" ]; do
		tries=$((tries + 1))
		[ $((tries / 20)) -lt "$2" ] || inconclusive "the entry did not expire within $2 s"
		sleep 0.05
	done
}

# age NODE SECONDS: takes so much of the time that each entry has left. What has none left gets one second more, because
# conntrack -U takes 0 for "as it is"; the entry is gone after that, as if it had expired long ago.
age() {
	local protocol number left rest source target sport dport
	while read -r protocol number left rest; do
		if [[ $rest =~ src=([0-9.]+)\ dst=([0-9.]+)\ sport=([0-9]+)\ dport=([0-9]+) ]]; then
			source=${BASH_REMATCH[1]} target=${BASH_REMATCH[2]} sport=${BASH_REMATCH[3]} dport=${BASH_REMATCH[4]}
			ip netns exec "$1" conntrack -U -p "$protocol" -s "$source" -d "$target" --orig-port-src "$sport" \
				--orig-port-dst "$dport" -t $((left > $2 ? left - $2 : 1)) >/dev/null 2>&1
			if [ "$left" -le "$2" ]; then
				while [ -n "$(entries "$1" "$sport")" ]; do sleep 0.05; done
			fi
		fi
	done < <(ip netns exec "$1" conntrack -L 2>/dev/null)
}

# delete_stale: the entries of the service that lead to a pod which is no endpoint, as kube-proxy does for UDP.
delete_stale() {
	local node name
	for node in $nodes; do
		for name in "${!address[@]}"; do
			case " $endpoints " in *" $name "*) continue ;; esac
			ip netns exec "$node" conntrack -D -p "$protocol" --orig-dst "$service_address" \
				--reply-src "${address[$name]}" >/dev/null 2>&1 || true
		done
	done
}
