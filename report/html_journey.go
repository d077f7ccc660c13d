package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
)

// sighting is a packet at one hop.
type sighting struct {
	evidence.Observation
	// n is the observation's place in the timeline.
	n int
}

// journey is one packet, hop after hop, in the order of time.
type journey []sighting

// journeys puts the packets of observations together by their numbers, by the place of their first sighting in it; one without
// a number is alone.
func journeys(seen []evidence.Observation) map[int]journey {
	out, first := map[int]journey{}, map[int]int{}
	for i, o := range seen {
		if o.Source != "packet" || o.Packet == nil {
			continue
		}
		n := o.Packet.Journey
		at, under := first[n]
		if !under || n == 0 {
			first[n], at = i, i
		}
		out[at] = append(out[at], sighting{o, i})
	}
	return out
}

// way is where it was seen: "client → master → node1 → server-1".
func (j journey) way() string {
	var names []string
	for _, s := range j {
		if n := len(names); n == 0 || names[n-1] != s.At {
			names = append(names, s.At)
		}
	}
	return strings.Join(names, " → ")
}

// ends is the first and the last of these places.
func (j journey) ends() string {
	if a, b := j[0].At, j[len(j)-1].At; a != b {
		return a + " → " + b
	}
	return j[0].At
}

// comments are what is said about it at each hop; that it repeats another, its badge says.
func (j journey) comments() []string {
	var out []string
	for _, s := range j {
		if s.Packet.Comment != "" && s.Packet.Repeat == "" {
			out = append(out, s.Packet.Comment)
		}
	}
	return out
}

func (j journey) repeat() string {
	for _, s := range j {
		if s.Packet.Repeat != "" {
			return s.Packet.Repeat
		}
	}
	return ""
}

// headers is what does not change on the way: "[P.] seq 11:21 ack 1 len 10".
func (j journey) headers() string {
	p := j[0].Packet
	if p.Flags == "" {
		if p.ICMP != nil {
			return icmpWords(p.ICMP)
		}
		return fmt.Sprintf("%s len %d", strings.ToLower(p.Protocol), p.Length)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] seq %d", p.Flags, p.Seq)
	if p.Length > 0 {
		fmt.Fprintf(&b, ":%d", p.Seq+int64(p.Length))
	}
	if slices.Contains([]byte(p.Flags), '.') {
		fmt.Fprintf(&b, " ack %d", p.Ack)
	}
	fmt.Fprintf(&b, " len %d", p.Length)
	return b.String()
}

// addresses is source and destination, each with what it had become where the packet was last seen:
// "172.18.219.65:40000 → 10.108.33.37:2222 ⇒ 172.18.166.130:2222".
func (j journey) addresses() string {
	a, b := j[0].Packet, j[len(j)-1].Packet
	became := func(before, after string) string {
		if before == after {
			return before
		}
		return before + " ⇒ " + after
	}
	return became(a.Src, b.Src) + " → " + became(a.Dst, b.Dst)
}

// signature is equal for packets that differ in their time and place in the stream alone.
func (j journey) signature() string {
	p := j[0].Packet
	if p.ICMP != nil {
		return fmt.Sprint("packet ", j.way(), icmpWords(p.ICMP), j.addresses())
	}
	return fmt.Sprint("packet ", j.way(), p.Flags, p.Length, j.repeat(), j.addresses(), len(j.comments()))
}

// icmpWords is an ICMP message: "icmp port unreachable for tcp 172.18.219.65:40000 > 10.108.33.37:2222".
func icmpWords(m *evidence.ICMPFacts) string {
	s := "icmp " + m.Name
	if m.Protocol != "" {
		s += fmt.Sprintf(" for %s %s > %s", strings.ToLower(m.Protocol), m.Src, m.Dst)
	}
	return s
}
