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
