# remove_endpoint POD: the rules no longer name it; the pod goes on running.
remove_endpoint() {
	endpoints=$(echo "$endpoints" | tr ' ' '\n' | grep -vx "$1" | paste -sd' ' || true)
	install_rules
}

# kill_pod POD: its link goes without a word, then the rest.
kill_pod() {
	pods=$(echo "$pods" | tr ' ' '\n' | grep -vx "$1" | paste -sd' ' || true)
	ip -n "$1" link del eth0
	kill "${pids[$1]}"
	wait "${pids[$1]}" || true
	ip netns del "$1"
}

# counter POD NAME: a counter of the pod's kernel, as nstat names it.
counter() { ip netns exec "$1" nstat -asz "$2" | awk -v name="$2" '$1 == name { print $2 }'; }

# counted POD NAME FROM MORE SECONDS: until the counter has grown from a value by so many.
counted() {
	local tries=0
	until [ "$(counter "$1" "$2")" -ge $(($3 + $4)) ]; do
		tries=$((tries + 1))
		[ $((tries / 20)) -lt "$5" ] || inconclusive "$2 did not grow by $4 within $5 s"
		sleep 0.05
	done
}

# needs COMMAND: it is there, or this machine cannot run the case.
needs() { command -v "$1" >/dev/null || fail "$1: not found"; }

# command_in PLACE SECONDS COMMAND...: what a command prints, and its exit code, which the script goes on with.
command_in() {
	printed=$(ip netns exec "$1" timeout "${@:2}" 2>&1) && code=0 || code=$?
	if [ -n "$printed" ]; then echo "$printed"; fi
	if [ "$code" != 0 ]; then echo "exit code $code"; fi
}

# ended CODE TEXT: the command before has ended with the code, or any, and its output holds the text; else the case is not as expected.
ended() {
	if [ "$1" = any ] || [ "$code" = "$1" ]; then
		case $printed in *"$2"*) return ;; esac
	fi
	echo "the command is expected to exit with $1${2:+ and to print $2}"
	commands_wrong=1
}
