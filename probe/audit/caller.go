package audit

import (
	"fmt"
	"strings"
)

// Caller is who asks: what would show more depends on it.
type Caller uint8

// The callers.
const (
	// User is not root; sudo may make it so.
	User Caller = iota
	// Root is root of the machine.
	Root
	// Confined is root in a container or a user namespace only: what it may not see, sudo does not show either.
	Confined
)

// hint is what to do about a lack of privileges, to be put behind the sentence that names it; nothing for Root.
func (c Caller) hint() string {
	switch c {
	case User:
		return " (run with sudo)"
	case Confined:
		return " (ask root of the machine: this is root of a container or a user namespace only)"
	}
	return ""
}

// command would tell what is not known of a connection; empty if nothing would.
func (f *facts) command(j judgement) string {
	if Reasons[j.reason] != Unknown {
		return ""
	}
	look := fmt.Sprintf("ctsim audit --all-netns --port %d", f.socket.Local.Port())
	if f.owner != nil && f.caller != Confined {
		look = fmt.Sprintf("ctsim audit --pid %d", f.owner.PID)
	}
	switch f.caller {
	case User:
		return "sudo " + look
	case Confined:
		return "sudo " + look + "  # on the node itself"
	}
	at := f.path
	if t := j.missing; t != nil && t.Path != "" {
		at = t.Path
	}
	inside, own := "nsenter --net="+quote(at)+" ", quote(f.path)
	switch j.reason {
	case EntryNotSeen, TrackingOff:
		return inside + "nft list hooks"
	case EntryMissing, EntryGone:
		return inside + fmt.Sprintf("conntrack -E -p tcp | grep =%d", f.socket.Local.Port())
	case TableUnread, TimeoutUnknown:
		return inside + "conntrack -L -p tcp"
	case NodeUnread:
		return "ctsim audit --netns " + own + " --node NODE  # the namespace that its packets go to, by name or path"
	case KeepaliveHidden, ProbeUncertain, NoAnswer:
		return "nsenter --net=" + own + fmt.Sprintf(" ss -tnoie sport = :%d", f.socket.Local.Port())
	case EntryRefreshed, EntryState, EntryOffloaded:
		if j.entry != nil && j.entry.table.Path != "" {
			return "nsenter --net=" + quote(j.entry.table.Path) + fmt.Sprintf(" conntrack -E -p tcp --sport %d", j.entry.Original.Src.Port())
		}
	}
	return ""
}

// quote is a path as a word of a shell: whoever mounts a namespace chooses its name.
func quote(path string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._:-@", r))
	}
	if path != "" && strings.TrimFunc(path, plain) == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
