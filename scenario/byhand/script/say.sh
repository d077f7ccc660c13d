# step TEXT: says what is done next.
step() { printf '%s %s\n' "$(date +%T)" "$1"; }

fail() {
	echo "$1" >&2
	exit 3
}

# unclear TEXT: what was waited for did not come, so nothing can be concluded.
unclear() {
	echo "outcome: unclear, $1"
	exit 4
}
