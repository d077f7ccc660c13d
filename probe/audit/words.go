package audit

import (
	"fmt"
	"strings"
	"time"
)

// why puts the judgement into words.
func (f *facts) why(j judgement) string {
	switch j.reason {
	case NoKeepalive:
		return "keepalive is off, so no probe ever comes; " + f.end(j)
	case ProbeTooLate:
		return fmt.Sprintf("the first probe%s comes in %s, too late; %s", whose(j), seconds(j.first.earliest), f.end(j))
	case EntryGone:
		return fmt.Sprintf("tracked here, but without an entry: %s, exempt (NOTRACK), or older than the tracking; %s",
			f.lost(j), f.consequence(j))
	case ProbeInTime:
		return fmt.Sprintf("a probe comes in %s at the latest and refreshes the entry, which has %s left%s",
			seconds(j.first.latest), seconds(j.left), estimate(j))
	case PeerProbes:
		if j.byPeer {
			return fmt.Sprintf("the other end probes in %s at the latest and refreshes the entry, which has %s left%s",
				seconds(j.first.latest), seconds(j.left), estimate(j))
		}
		since, _ := silent(f.socket)
		return fmt.Sprintf("silent for %s, yet the entry was refreshed %s ago: the other end probes", seconds(since), seconds(j.timeout-j.left))
	}
	return f.whyUncertain(j)
}

func (f *facts) whyUncertain(j judgement) string {
	switch j.reason {
	case NotTracked:
		return "nothing is tracked here"
	case KeepaliveHidden:
		return fmt.Sprintf("data is under way, and until it is acknowledged the kernel shows the %s timer, not whether keepalive is on", f.socket.Timer.Kind)
	case ProbeUncertain:
		return fmt.Sprintf("the keepalive timer%s runs out in %s, but if the socket was active since it was set, the first probe may come as late as in %s; the entry has %s left%s",
			whose(j), seconds(j.first.earliest), seconds(j.first.latest), seconds(j.left), estimate(j))
	case EntryMissing:
		return fmt.Sprintf("%s tracks connections, but has no entry for this one: it does not pass through there, or its entry was flushed", f.node.Name)
	case EntryNotSeen:
		return "no entry in any table that could be read: it does not pass through conntrack, or its entry is gone (root can tell which)"
	case EntryOffloaded:
		return "its entry is in a flow table (offload), which ages it by rules of its own"
	case TimeoutUnknown:
		return "neither the conntrack table nor its timeout could be read"
	}
	return string(j.reason)
}

func whose(j judgement) string {
	if j.byPeer {
		return " of the other end"
	}
	return ""
}

// lost is how an entry that is not there may have gone.
func (f *facts) lost(j judgement) string {
	since, known := silent(f.socket)
	switch {
	case !known || j.timeout == 0:
		return "expired or flushed"
	case since >= j.timeout:
		return fmt.Sprintf("expired (silent for %s, timeout %s)", seconds(since), seconds(j.timeout))
	}
	return fmt.Sprintf("flushed (silent for %s only, timeout %s)", seconds(since), seconds(j.timeout))
}

// end is when the entry goes, and what that means.
func (f *facts) end(j judgement) string {
	where := ""
	if j.entry != nil && j.entry.table != f.table {
		where = " on " + j.entry.table.Name
	}
	return fmt.Sprintf("the entry%s has %s left%s; %s", where, seconds(j.left), estimate(j), f.consequence(j))
}

func estimate(j judgement) string {
	if j.estimated {
		return " (estimated: timeout less time silent)"
	}
	return ""
}

// consequence is what the next packet after the entry's end meets.
func (f *facts) consequence(j judgement) string {
	switch {
	case j.strict:
		return "what is sent after that is INVALID (nf_conntrack_tcp_loose=0) and the connection hangs"
	case j.entry == nil:
		return "if it is translated, the next packet goes astray and draws a RST"
	case f.translated(*j.entry).none():
		return "it is not translated, so what is sent after that is tracked afresh, unless a firewall drops what is not a SYN"
	case j.entry.reply:
		return "what is sent after that leaves untranslated and draws a RST"
	case f.translated(*j.entry).Backend != "":
		return "what is sent after that may go to another backend, which answers RST"
	}
	return "what is sent after that gets another source port, and the peer answers RST"
}

// cure is what to set so that the verdict becomes OK; empty if there is nothing to mend.
func (f *facts) cure(j judgement) string {
	limit := j.timeout
	if limit == 0 {
		limit = j.left
	}
	half := limit / 2 / time.Second
	switch j.reason {
	case NoKeepalive:
		return fmt.Sprintf("switch keepalive on in the application: SO_KEEPALIVE, with TCP_KEEPIDLE well below %s, %d say; "+
			"net.ipv4.tcp_keepalive_time alone switches nothing on", seconds(limit), half)
	case ProbeTooLate, ProbeUncertain:
		if f.settings != nil && f.settings.Own {
			return fmt.Sprintf("lower the application's TCP_KEEPIDLE, %s, to well below %s, %d say", seconds(f.settings.Idle), seconds(limit), half)
		}
		return fmt.Sprintf("TCP_KEEPIDLE in the application, or sysctl -w net.ipv4.tcp_keepalive_time=%d in the connection's own namespace "+
			"(the node's does not reach a pod): well below %s", half, seconds(limit))
	case EntryGone:
		return "let the application reconnect: nothing brings the entry back; against the next time, keepalive below " + seconds(limit)
	}
	return ""
}

// seconds is how netstat, conntrack and sysctl count.
func seconds(d time.Duration) string {
	if d < 10*time.Second && d%time.Second != 0 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
