package report

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/ctsim/ctsim/evidence"
)

// The words of typed facts, where a report says them in another way than the observation's own text.

// entryFlags are an entry's flags as conntrack prints them, without their brackets.
func entryFlags(e *evidence.EntryFacts) []string {
	var out []string
	if e.Unreplied {
		out = append(out, "UNREPLIED")
	}
	switch {
	case e.Offloaded:
		out = append(out, "OFFLOAD")
	case e.Assured:
		out = append(out, "ASSURED")
	}
	return out
}

// entryLeft is how many seconds an entry has left; empty if that is not known.
func entryLeft(e *evidence.EntryFacts) string {
	if e.Left == nil {
		return ""
	}
	return strconv.Itoa(*e.Left)
}

// entrySummary is an entry in a few words: "ESTABLISHED [UNREPLIED] 300 s left".
func entrySummary(e *evidence.EntryFacts) string {
	words := []string{}
	if e.State != "" {
		words = append(words, e.State)
	}
	for _, f := range entryFlags(e) {
		words = append(words, "["+f+"]")
	}
	if left := entryLeft(e); left != "" {
		words = append(words, left+" s left")
	}
	return strings.Join(words, " ")
}

// entryLeads is where an entry leads: "10.108.33.37:2222 ⇒ 172.18.166.130:2222".
func entryLeads(e *evidence.EntryFacts) string {
	if !e.Translates {
		return e.Original.Src + " → " + e.Original.Dst + ", not translated"
	}
	s := e.Original.Dst + " ⇒ " + e.Reply.Src
	if e.Original.Src != e.Reply.Dst {
		s += ", source " + e.Original.Src + " ⇒ " + e.Reply.Dst
	}
	return s
}

// tupleWay is a tuple from end to end.
func tupleWay(t evidence.TupleFacts) string { return t.Src + " → " + t.Dst }

// pathPacket is the packet of a path: "172.18.219.65:54124 → 10.108.33.37:2222 [P.]".
func pathPacket(p *evidence.PathFacts) string {
	s := p.Src + " → " + p.Dst
	if p.Flags != "" {
		s += " [" + p.Flags + "]"
	}
	return s
}

// pathTracked is the same with what conntrack said of the packet.
func pathTracked(p *evidence.PathFacts) string {
	if p.State == "" {
		return pathPacket(p)
	}
	return pathPacket(p) + " " + p.State
}

// pathChains are the chains that a packet came through, those of one built-in chain joined, each by the name that name
// gives it.
func pathChains(p *evidence.PathFacts, name func(string) string) []string {
	var out []string
	for i, h := range p.Hops {
		var last evidence.HopFacts
		if i > 0 {
			last = p.Hops[i-1]
		}
		done := last.Kind == "policy" || last.Verdict == "ACCEPT" || last.Verdict == "DROP" // with the built-in chain
		switch {
		case i > 0 && h.Table == last.Table && h.Chain == last.Chain:
		case i > 0 && h.Table == last.Table && !done:
			out[len(out)-1] += " → " + name(h.Chain)
		default:
			out = append(out, h.Table+" "+name(h.Chain))
		}
	}
	if len(out) == 0 {
		return []string{"no rule"}
	}
	return out
}

// pathEnd is how a packet ended that was thrown away, and by which rule; empty for others.
func pathEnd(p *evidence.PathFacts) string {
	if p.Verdict != "DROP" {
		return ""
	}
	return " (DROP): " + p.DroppedBy
}

// wholeName is a chain's name as it is.
func wholeName(chain string) string { return chain }

// hashLength is how many letters the hash has that kube-proxy puts at the end of a chain's name, shownHash how many of
// them tell it apart well enough.
const (
	hashLength = 16
	shownHash  = 4
)

// shortName is a chain's name with the most of its hash left out: KUBE-SVC-OU4Y….
func shortName(chain string) string {
	begin := len(chain) - hashLength
	if begin < 1 || chain[begin-1] != '-' {
		return chain
	}
	for _, c := range []byte(chain[begin:]) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return chain
		}
	}
	return chain[:begin+shownHash] + "…"
}

// kernelWhat is what the kernel did, without the functions.
func kernelWhat(k *evidence.KernelFacts) string {
	var words []string
	for _, w := range []struct{ name, value string }{{"error", k.Errno}, {"state", k.State}, {"reason", k.Reason}} {
		if w.value != "" {
			words = append(words, w.name+"="+w.value)
		}
	}
	if k.Src != "" {
		preposition := "on"
		if k.OfPacket {
			preposition = "for"
		}
		words = append(words, preposition, k.Src, ">", k.Dst)
	}
	return strings.Join(words, " ")
}

// callWords is what a call gave, without the call: "10 bytes, success", "ECONNRESET (connection reset by peer)".
func callWords(c *evidence.CallFacts) string {
	failed := c.Errno
	if c.Error != "" {
		failed += " (" + c.Error + ")"
	}
	var words string
	switch {
	case c.Call == "connect" && failed == "":
		words = c.Remote + " from " + c.Local
	case c.Call == "connect":
		words = c.Remote + ": " + failed
	case c.Call == "accept" && failed == "":
		words = "from " + c.Remote
	case c.Call == "accept":
		words = "from " + c.Remote + ": " + failed
	case failed != "":
		words = failed
	case c.Call == "recv" && c.Bytes == 0:
		words = "end of stream"
	case c.Call == "recv":
		words = fmt.Sprintf("%d bytes %s", c.Bytes, c.Data)
	case c.Call == "send":
		words = fmt.Sprintf("%d bytes, success", c.Bytes)
	default:
		words = c.Call
	}
	if slow(c) {
		words += fmt.Sprintf(", after %d ms", time.Duration(math.Round(*c.Took*1e9)).Milliseconds())
	}
	return words
}

// slow tells whether it is worth a word how long a call took.
func slow(c *evidence.CallFacts) bool { return c.Took != nil && *c.Took >= evidence.SlowCall.Seconds() }

// errnoOf is the name of the error that an observation tells of; empty if it tells of none.
func errnoOf(o evidence.Observation) string {
	switch {
	case o.Call != nil:
		return o.Call.Errno
	case o.Output != nil:
		return o.Output.Errno
	case o.KernelEvent != nil:
		return o.KernelEvent.Errno
	}
	return ""
}

// isLoss tells whether an entry was lost while its connection was open; a RST ends both.
func isLoss(o evidence.Observation) bool {
	return o.Entry != nil && o.Entry.Destroyer != "" && o.Entry.Destroyer != "rst"
}

// address is the host of ip:port, or the whole if there is no port.
func address(endpoint string) string {
	if host, _, err := net.SplitHostPort(endpoint); err == nil {
		return host
	}
	return endpoint
}
