package iptables

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Save is the RuleSet as iptables-save would print it after an installation, without its comment lines, which hold
// the date, and with all counters 0.
func (r RuleSet) Save() string {
	var b strings.Builder
	for _, t := range r.Tables {
		fmt.Fprintf(&b, "*%s\n", t.Name)
		for _, c := range t.Chains {
			policy := c.Policy
			if policy == "" {
				policy = "-"
			}
			fmt.Fprintf(&b, ":%s %s [0:0]\n", c.Name, policy)
		}
		for _, c := range t.Chains {
			for _, rule := range c.Rules {
				fmt.Fprintf(&b, "-A %s %s\n", c.Name, rule.saved())
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// Restore is the input that makes `iptables-restore --noflush` install the RuleSet in a namespace that has none. It
// replaces the chains named in it, but adds to the built-in ones: their policy and other rules stay.
func (r RuleSet) Restore() string {
	var b strings.Builder
	for _, t := range r.Tables {
		fmt.Fprintf(&b, "*%s\n", t.Name)
		for _, c := range t.Chains {
			if c.Policy == "" {
				fmt.Fprintf(&b, ":%s - [0:0]\n", c.Name)
			}
		}
		for _, c := range t.Chains {
			for _, rule := range c.Rules {
				fmt.Fprintf(&b, "-A %s %s\n", c.Name, rule)
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// String is the rule as one line for iptables-restore, with quotes where iptables-save has them.
func (r Rule) String() string {
	quoted := make([]string, len(r))
	for i, arg := range r {
		quoted[i] = quote(arg, i > 0 && r[i-1] == "--comment")
	}
	return strings.Join(quoted, " ")
}

// saved is the rule as iptables-save prints it once the kernel has it.
func (r Rule) saved() string {
	for i, arg := range r {
		if arg == "--probability" && i+1 < len(r) {
			out := append(Rule(nil), r...)
			out[i+1] = savedProbability(r[i+1])
			return out.String()
		}
	}
	return r.String()
}

// savedProbability is what becomes of a written probability: the kernel keeps it as a rounded number of 2^31sts, so
// that 0.3333333333 comes back as 0.33333333349.
func savedProbability(written string) string {
	p, err := strconv.ParseFloat(written, 64)
	if err != nil {
		return written
	}
	const whole = 1 << 31
	return fmt.Sprintf("%.11f", math.Round(p*whole)/whole)
}

// quote puts a free text in quotes unless it is made of letters, digits, '-' and '_' alone, as libxtables does. Only a
// comment is a free text; other arguments are printed by the extension that owns them.
func quote(arg string, freeText bool) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}
	if !freeText || !strings.ContainsFunc(arg, func(r rune) bool { return !plain(r) }) {
		return arg
	}
	return `"` + arg + `"`
}
