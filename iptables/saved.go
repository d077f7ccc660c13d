package iptables

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ctsim/ctsim/dataplane"
)

// savedTable is one table as iptables-save printed it. It is text, not a [Table]: what is compared is what the kernel
// holds, whoever wrote it.
type savedTable struct {
	name   string
	chains []savedChain
}

type savedChain struct {
	name, policy string
	rules        []savedRule
}

type savedRule struct {
	text           string // after "-A CHAIN "
	packets, bytes uint64 // 0 if the output was without counters
}

// parseSaved reads the output of iptables-save, with or without -c. Tables come back as filter, nat, then others by
// name, and own chains by name, since the flavours and versions of iptables differ in their order.
func parseSaved(text string) ([]savedTable, error) {
	var tables []savedTable
	chainAt := map[string]int{}
	for n, line := range strings.Split(text, "\n") {
		bad := func() error { return fmt.Errorf("iptables-save: line %d is not understood: %q", n+1, line) }
		switch {
		case line == "" || line == "COMMIT" || line[0] == '#':
		case line[0] == '*':
			tables = append(tables, savedTable{name: line[1:]})
			clear(chainAt)
		case len(tables) == 0:
			return nil, bad()
		case line[0] == ':':
			fields := strings.Fields(line[1:])
			if len(fields) < 2 {
				return nil, bad()
			}
			t := &tables[len(tables)-1]
			chainAt[fields[0]] = len(t.chains)
			t.chains = append(t.chains, savedChain{name: fields[0], policy: fields[1]})
		default:
			chain, rule, ok := parseSavedRule(line)
			i, known := chainAt[chain]
			if !ok || !known {
				return nil, bad()
			}
			c := &tables[len(tables)-1].chains[i]
			c.rules = append(c.rules, rule)
		}
	}
	sortSaved(tables)
	return tables, nil
}

// parseSavedRule reads `-A CHAIN …` or `[packets:bytes] -A CHAIN …`.
func parseSavedRule(line string) (chain string, rule savedRule, ok bool) {
	if counters, rest, found := strings.Cut(line, "] "); found && line[0] == '[' {
		packets, bytes, _ := strings.Cut(counters[1:], ":")
		var err1, err2 error
		rule.packets, err1 = strconv.ParseUint(packets, 10, 64)
		rule.bytes, err2 = strconv.ParseUint(bytes, 10, 64)
		if err1 != nil || err2 != nil {
			return "", savedRule{}, false
		}
		line = rest
	}
	line, ok = strings.CutPrefix(line, "-A ")
	chain, rule.text, _ = strings.Cut(line, " ")
	return chain, rule, ok
}

func sortSaved(tables []savedTable) {
	rank := func(table string) int {
		if i := slices.Index([]string{"filter", "nat"}, table); i >= 0 {
			return i
		}
		return 2
	}
	slices.SortStableFunc(tables, func(a, b savedTable) int {
		return cmp.Or(cmp.Compare(rank(a.name), rank(b.name)), strings.Compare(a.name, b.name))
	})
	for _, t := range tables {
		slices.SortStableFunc(t.chains, func(a, b savedChain) int {
			switch {
			case a.policy != "-" && b.policy != "-":
				return 0
			case a.policy != "-":
				return -1
			case b.policy != "-":
				return 1
			}
			return strings.Compare(a.name, b.name)
		})
	}
}

// savedText prints tables the way [RuleSet.Save] does.
func savedText(tables []savedTable) string {
	var b strings.Builder
	for _, t := range tables {
		fmt.Fprintf(&b, "*%s\n", t.name)
		for _, c := range t.chains {
			fmt.Fprintf(&b, ":%s %s [0:0]\n", c.name, c.policy)
		}
		for _, c := range t.chains {
			for _, r := range c.rules {
				b.WriteString("-A " + c.name)
				if r.text != "" {
					b.WriteString(" " + r.text)
				}
				b.WriteByte('\n')
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// asSaved is the RuleSet as it would be read back from the kernel.
func (r RuleSet) asSaved() []savedTable {
	tables := make([]savedTable, 0, len(r.Tables))
	for _, t := range r.Tables {
		st := savedTable{name: t.Name}
		for _, c := range t.Chains {
			sc := savedChain{name: c.Name, policy: cmp.Or(c.Policy, "-")}
			for _, rule := range c.Rules {
				sc.rules = append(sc.rules, savedRule{text: rule.saved()})
			}
			st.chains = append(st.chains, sc)
		}
		tables = append(tables, st)
	}
	return tables
}

// chain is the table's chain of that name, nil if there is none.
func findChain(tables []savedTable, table, name string) *savedChain {
	for _, t := range tables {
		if t.name != table {
			continue
		}
		for i := range t.chains {
			if t.chains[i].name == name {
				return &t.chains[i]
			}
		}
	}
	return nil
}

// texts are the chain's rules without counters.
func (c *savedChain) texts() []string {
	if c == nil {
		return nil
	}
	out := make([]string, len(c.rules))
	for i, r := range c.rules {
		out[i] = r.text
	}
	return out
}

func counters(tables []savedTable) []dataplane.Counter {
	var out []dataplane.Counter
	for _, t := range tables {
		for _, c := range t.chains {
			for i, r := range c.rules {
				out = append(out, dataplane.Counter{Table: t.name, Chain: c.name, Number: i + 1, Rule: r.text,
					Packets: r.packets, Bytes: r.bytes})
			}
		}
	}
	return out
}
