package conntrack

import (
	"fmt"
	"strings"
	"time"
)

// String is the line of `conntrack -L`, byte for byte as conntrack-tools 1.4.7 with libnetfilter_conntrack 1.0.9 prints
// it, except that the states of SCTP and DCCP and labels are left out.
func (e Entry) String() string {
	var b strings.Builder
	e.format(&b)
	return b.String()
}

// String is the line of `conntrack -E`, with the same exceptions as Entry.String. The port id and the time of the event
// are not part of it, as they are not part of the command's.
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%9s ", "["+e.Type.String()+"]")
	if e.Seen.IsZero() {
		e.Seen = e.Time
	}
	e.format(&b)
	return b.String()
}

func (e Entry) format(b *strings.Builder) {
	fmt.Fprintf(b, "%-8s %d", protocolName(e.Original.Protocol), e.Original.Protocol)
	if e.HasTimeout {
		fmt.Fprintf(b, " %d", e.Timeout/time.Second)
	}
	if e.HasTCP {
		fmt.Fprintf(b, " %s", e.TCP)
	}
	e.formatDirection(b, e.Original, e.OriginalCount)
	if e.HasStatus && !e.Status.Has(StatusSeenReply) {
		b.WriteString(" [UNREPLIED]")
	}
	e.formatDirection(b, e.Reply, e.ReplyCount)
	switch {
	case e.Status.Has(StatusHWOffload):
		b.WriteString(" [HW_OFFLOAD]")
	case e.Status.Has(StatusOffload):
		b.WriteString(" [OFFLOAD]")
	case e.Status.Has(StatusAssured):
		b.WriteString(" [ASSURED]")
	}
	e.formatRest(b)
}

func (e Entry) formatDirection(b *strings.Builder, t Tuple, c Counter) {
	fmt.Fprintf(b, " %s", t)
	if e.HasCounters {
		fmt.Fprintf(b, " packets=%d bytes=%d", c.Packets, c.Bytes)
	}
}

func (e Entry) formatRest(b *strings.Builder) {
	if e.HasMark {
		fmt.Fprintf(b, " mark=%d", e.Mark)
	}
	if e.SecurityContext != "" {
		fmt.Fprintf(b, " secctx=%s", e.SecurityContext)
	}
	if e.Zone != 0 {
		fmt.Fprintf(b, " zone=%d", e.Zone)
	}
	if !e.Start.IsZero() {
		fmt.Fprintf(b, " delta-time=%d", e.age())
	}
	if e.Helper != "" {
		fmt.Fprintf(b, " helper=%s", e.Helper)
	}
	if e.Use != 0 {
		fmt.Fprintf(b, " use=%d", e.Use)
	}
}

// age is how long the entry lived, in seconds between the whole seconds of both ends, which is how the conntrack
// command counts it.
func (e Entry) age() int64 {
	end := e.Stop
	if end.IsZero() {
		end = e.Seen
	}
	if end.IsZero() {
		return 0
	}
	return end.Unix() - e.Start.Unix()
}
