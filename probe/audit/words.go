package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/ctsim/ctsim/probe/conntrack"
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
			atMost(j.first.latest), seconds(j.left), estimate(j))
	case PeerProbes:
		return fmt.Sprintf("the other end probes in %s at the latest and refreshes the entry, which has %s left%s",
			atMost(j.first.latest), seconds(j.left), estimate(j))
	case IntervalTooLong:
		return fmt.Sprintf("the first probe%s comes in time, but refreshes the entry to %s only, and the next comes %s later; %s",
			whose(j), seconds(j.timeout), seconds(j.first.every), f.consequence(j))
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
		return f.whyClose(j)
	case EntryMissing:
		return fmt.Sprintf("%s tracks connections, but has no entry for this one: it does not pass through there, or its entry was flushed; if so, %s",
			j.missing.Name, f.consequence(j))
	case EntryNotSeen:
		return "no entry in any table that could be read: it does not pass through conntrack, or its entry is gone; then " + f.consequence(j) + f.other()
	case EntryOffloaded:
		return "its entry is in a flow table (offload), which ages it by rules of its own"
	case TimeoutUnknown:
		return "neither the conntrack table nor its timeout could be read"
	case NodeUnread:
		return fmt.Sprintf("it may leave the namespace by %s, for one whose table was not read%s", strings.Join(f.unseen, ", "), f.other())
	case TableUnread:
		return fmt.Sprintf("a probe comes in %s at the latest, in time for an entry that would have about %s left; but the table of %s could not be read, and whether there is one is not known",
			atMost(j.first.latest), seconds(j.left), j.missing.Name)
	}
	return f.whyDoubted(j)
}

// whyDoubted is for what looks well at first.
func (f *facts) whyDoubted(j judgement) string {
	switch j.reason {
	case EntryRefreshed:
		since, _ := silent(f.socket)
		return fmt.Sprintf("silent for %s, yet the entry was refreshed %s ago: the other end, which is not in sight, seems to probe, or the timeout was set lower since",
			seconds(since), seconds(j.timeout-j.left))
	case EntryState:
		return fmt.Sprintf("the entry is %s, which does not fit: it is an earlier connection's, or was made in mid-stream after the right one was gone", state(*j.entry))
	case TrackingOff:
		return fmt.Sprintf("there is an entry in %s, but packets do not go through conntrack there any more, so nothing refreshes it nor translates them", j.entry.table.Name)
	case NoAnswer:
		return fmt.Sprintf("what was sent last is unanswered (%s): it may be cut already", f.socket.Timer.Netstat())
	}
	return string(j.reason)
}

// whyClose is for a probe and an end that are too close to say which comes first.
func (f *facts) whyClose(j judgement) string {
	switch {
	case j.first.latest < j.left:
		return fmt.Sprintf("the first probe%s comes in time, but the next may come as late as %s after it, and the entry it refreshes then has %s%s",
			whose(j), atMost(j.first.everyMost), seconds(j.timeout), estimate(j))
	case f.settings != nil && !j.byPeer:
		return fmt.Sprintf("the first probe is due in %s, but timers of that length may run out late, at %s; the entry has %s left%s",
			seconds(j.first.earliest), atMost(j.first.latest), seconds(j.left), estimate(j))
	}
	return fmt.Sprintf("the keepalive timer%s runs out in %s, but if the socket was active since it was set, the first probe may come as late as in %s; the entry has %s left%s",
		whose(j), seconds(j.first.earliest), atMost(j.first.latest), seconds(j.left), estimate(j))
}

// other says that an entry which looks like the connection's is none of it.
func (f *facts) other() string {
	if len(f.elsewhere) == 0 {
		return ""
	}
	return fmt.Sprintf("; the table of %s has one for the same addresses, but no link leads there", strings.Join(f.elsewhere, ", "))
}

// state is what conntrack takes an entry for.
func state(e found) string {
	if e.HasStatus && !e.Status.Has(conntrack.StatusSeenReply) {
		return e.TCP.String() + " [UNREPLIED]"
	}
	return e.TCP.String()
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
		return "the next packet is tracked afresh: if the connection is translated, it goes astray and draws a RST"
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
	case ProbeTooLate, ProbeUncertain, IntervalTooLong:
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

// atMost rounds up.
func atMost(d time.Duration) string {
	if d >= 10*time.Second && d%time.Second != 0 {
		d += time.Second
	}
	return seconds(d)
}

// seconds is how netstat, conntrack and sysctl count.
func seconds(d time.Duration) string {
	if d < 10*time.Second && d%time.Second != 0 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
