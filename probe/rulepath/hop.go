package rulepath

import (
	"fmt"
	"strings"
	"time"
)

// Kind is what a packet met, with the kernel's number (enum nft_trace_types).
type Kind uint8

// The kinds.
const (
	// Policy: the end of a built-in chain, and its policy.
	Policy Kind = iota + 1
	// Return: back to the calling chain, where a kernel says it so. Linux 6.18 calls a RETURN rule a Rule, and reaching a
	// chain's end leaves no hop.
	Return
	// Rule: a rule that matched.
	Rule
)

// String is the kind as nft prints it.
func (k Kind) String() string {
	switch k {
	case Policy:
		return "policy"
	case Return:
		return "return"
	case Rule:
		return "rule"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Hop is one thing that a packet met in a chain: a matching rule, a return or a policy.
type Hop struct {
	// Time is when ctsim read the kernel's message, shortly after the packet was there: the kernel sends no time with
	// it. The hops of a path are in order; for the packet's own time look for its [Packet] in a capture.
	Time time.Time
	// Table and Chain are names as iptables has them.
	Table, Chain string
	Kind         Kind
	// Handle is the kernel's number of the rule in its table (`nft -a list table ip nat`), 0 for a policy.
	Handle uint64
	// Text is the rule as iptables-save prints it after `-A CHAIN `; empty if it was not learnt, see [Watcher.Learn].
	Text string
	// Verdict is what the rule or policy said: ACCEPT, DROP, CONTINUE (go on with the next rule), RETURN, or JUMP or
	// GOTO with a chain's name. A target like DNAT or MASQUERADE shows as the ACCEPT that it ends in, REJECT as DROP.
	Verdict string
	// Mark is the packet's mark afterwards (`meta mark`), 0x4000 once kube-proxy wants it masqueraded.
	Mark uint32
}

// String is the hop as one line.
//
//	nat KUBE-SVC-X rule: -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-1 → KUBE-SEP-1
//	filter FORWARD policy → ACCEPT
func (h Hop) String() string {
	line := h.Table + " " + h.Chain + " " + h.Kind.String()
	switch {
	case h.Text != "":
		line += ": " + h.Text
	case h.Handle != 0:
		line += fmt.Sprintf(": handle %d", h.Handle)
	}
	if h.Verdict == "" {
		return line
	}
	if _, chain, ok := strings.Cut(h.Verdict, " "); ok {
		return line + " → " + chain
	}
	return line + " → " + h.Verdict
}

// fits tells whether the verdict can come from a rule with this text: a rule jumps where its text says, or nowhere.
func (h Hop) fits(text string) bool {
	target := h.Verdict
	if jump, chain, ok := strings.Cut(h.Verdict, " "); ok {
		target = chain
		if jump == "GOTO" {
			return strings.HasSuffix(text, "-g "+target)
		}
		return strings.HasSuffix(text, "-j "+target)
	}
	_, named, _ := strings.Cut(text, "-j ")
	switch named {
	case "ACCEPT", "DROP", "RETURN":
		return target == named
	}
	return true
}
