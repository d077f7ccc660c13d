package audit

import (
	"regexp"
	"strconv"
	"strings"
)

// descriptor tells what a link in /proc/PID/fd leads to: "socket:[4711]" is a socket's inode, "net:[4026532246]" a
// network namespace's.
func descriptor(link string) (kind string, inode uint64, ok bool) {
	kind, rest, found := strings.Cut(link, ":[")
	number, closed := strings.CutSuffix(rest, "]")
	if !found || !closed || kind != "socket" && kind != "net" {
		return "", 0, false
	}
	inode, err := strconv.ParseUint(number, 10, 64)
	return kind, inode, err == nil
}

// podUID matches the directory that the kubelet makes for a pod, with the systemd driver ("kubepods-burstable-pod1f0c….slice",
// "_" for "-") and the cgroupfs one ("kubepods/burstable/pod1f0c…").
var podUID = regexp.MustCompile(`(?:kubepods[^/]*-|kubepods(?:/[a-z]+)?/)pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})`)

// podOf is the UID of the pod that a process belongs to, from its /proc/PID/cgroup; empty if none. It is that of
// `kubectl get pods -o custom-columns=:metadata.uid`.
func podOf(cgroup string) string {
	m := podUID.FindStringSubmatch(cgroup)
	if m == nil {
		return ""
	}
	return strings.ReplaceAll(m[1], "_", "-")
}

// commandName is the content of /proc/PID/comm without the line break that the kernel adds; the name itself may hold any
// byte but zero.
func commandName(comm []byte) string { return strings.TrimSuffix(string(comm), "\n") }

// hidesProcesses tells whether the options of a /proc mount (from mountinfo) keep other users' processes out of sight.
func hidesProcesses(options string) bool {
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "hidepid=1", "hidepid=2", "hidepid=4", "hidepid=noaccess", "hidepid=invisible", "hidepid=ptraceable":
			return true
		}
	}
	return false
}

// mount is what matters of a line of /proc/PID/mountinfo.
type mount struct{ root, point, kind, options string }

// parseMount reads such a line; its octal escapes are those of getmntent.
func parseMount(line string) (mount, bool) {
	before, after, found := strings.Cut(line, " - ")
	left, right := strings.Fields(before), strings.Fields(after)
	if !found || len(left) < 5 || len(right) < 3 {
		return mount{}, false
	}
	return mount{root: unescape(left[3]), point: unescape(left[4]), kind: right[0], options: right[2]}, true
}

var escapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func unescape(s string) string { return escapes.Replace(s) }

// builtIn tells from /proc/kallsyms whether a function is part of the kernel itself and not of a module, whose name would
// stand behind its own.
func builtIn(line, function string) bool {
	fields := strings.Fields(line)
	return len(fields) == 3 && fields[2] == function
}
