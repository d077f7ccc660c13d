package evidence

import (
	"fmt"
	"slices"
	"strings"
)

// Source is where an observation comes from.
type Source string

// The sources that can be watched. Step, client and server are part of every run.
const (
	FromConntrack Source = "conntrack" // the nodes' conntrack events
	FromPackets   Source = "packet"    // a capture in every pod and node
	FromRules     Source = "rule"      // the rules that single packets met, by nf_tables' trace
	FromKernel    Source = "kernel"    // tracepoints, for root alone
	FromSockets   Source = "socket"    // state and timers of both ends after every step
)

// Sources are all that can be watched.
var Sources = []Source{FromConntrack, FromPackets, FromRules, FromKernel, FromSockets}

// ParseSources reads "all", "none" or names joined by commas. The result is nil for all.
func ParseSources(text string) ([]Source, error) {
	switch text {
	case "", "all":
		return nil, nil
	case "none":
		return []Source{}, nil
	}
	var out []Source
	for name := range strings.SplitSeq(text, ",") {
		if !slices.Contains(Sources, Source(name)) {
			return nil, fmt.Errorf("unknown source %q, want all, none or some of %s", name, JoinSources(Sources))
		}
		out = append(out, Source(name))
	}
	return out, nil
}

// JoinSources is the names joined by commas, as ParseSources reads them.
func JoinSources(all []Source) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = string(s)
	}
	return strings.Join(words, ",")
}
