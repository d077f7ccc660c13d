package scenario

import (
	"strconv"
	"strings"
)

// The words of expectations, for descriptions and verdicts alike.

func rerouteText(yes bool) string {
	if yes {
		return "re-routed to another backend"
	}
	return "never re-routed to another backend"
}

func joinPatterns(ps []EventPattern) string {
	words := make([]string, len(ps))
	for i, p := range ps {
		words[i] = p.String()
	}
	return strings.Join(words, " → ")
}

// String is the pattern in the words of a conntrack line.
func (p EventPattern) String() string {
	words := []string{p.Type}
	if p.State != "" {
		words = append(words, p.State)
	}
	for _, flag := range []struct {
		set  *bool
		name string
	}{{p.Unreplied, "[UNREPLIED]"}, {p.Assured, "[ASSURED]"}} {
		if flag.set != nil && *flag.set {
			words = append(words, flag.name)
		} else if flag.set != nil {
			words = append(words, "not "+flag.name)
		}
	}
	if p.By != "" {
		words = append(words, "by "+p.By)
	}
	if p.Backend != "" {
		words = append(words, "to the "+p.Backend+" backend")
	}
	return strings.Join(words, " ")
}

// describe is the packet in words, "RST from the service at client".
func (x PacketCheck) describe() string {
	text := x.Flag
	if x.From != "" {
		text += " from the " + x.From
	}
	at := x.At
	if at == "" { // of a step, which has its defaults only when it runs
		at = podClient
	}
	return text + " at " + at
}

// probability reads a share's probability for n backends.
func (s ShareCheck) probability(n int) float64 {
	switch s.Probability {
	case "(N-1)/N":
		return float64(n-1) / float64(n)
	case "1/N":
		return 1 / float64(n)
	}
	p, _ := strconv.ParseFloat(s.Probability, 64) // the pattern of the field has made sure
	return p
}
