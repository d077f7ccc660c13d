package iptables

import (
	"fmt"
	"slices"
	"strings"
)

// An edit is one call of iptables.
type edit struct {
	op           operation
	table, chain string
	number       int  // of the rule, from 1 on; opInsert, opReplace, opDelete
	rule         Rule // opAppend, opInsert, opReplace
}

type operation uint8

const (
	opNewChain    operation = iota // iptables -N
	opAppend                       // iptables -A
	opInsert                       // iptables -I
	opReplace                      // iptables -R
	opDelete                       // iptables -D
	opDeleteChain                  // iptables -F, then -X
)

// change is what has to become of one chain.
type change struct {
	table, chain string
	isNew, gone  bool
	builtin      bool
	have         []string // rules now, as saved
	want         []Rule
}

// changes lists the chains in which the kernel and a RuleSet differ: new ones, then changed ones, then those that are
// gone, each after the chains that jump to it. Chains whose names do not begin with KUBE- belong to somebody else and
// are left alone, as are rules of others in built-in chains.
func changes(have []savedTable, want RuleSet) []change {
	var created, changed, gone []change
	for _, t := range want.Tables {
		for _, c := range t.Chains {
			now := findChain(have, t.Name, c.Name)
			ch := change{table: t.Name, chain: c.Name, want: c.Rules, have: now.texts(), builtin: c.Policy != ""}
			ch.isNew = now == nil && !ch.builtin
			switch {
			case ch.isNew:
				created = append(created, ch)
			case ch.builtin && len(ch.missing()) == 0:
			case ch.builtin, !slices.Equal(ch.have, savedRules(c.Rules)):
				changed = append(changed, ch)
			}
		}
		for _, st := range have {
			for _, sc := range st.chains {
				_, wanted := want.Chain(t.Name, sc.name)
				if st.name == t.Name && !wanted && strings.HasPrefix(sc.name, "KUBE-") {
					gone = append(gone, change{table: t.Name, chain: sc.name, gone: true, have: sc.texts()})
				}
			}
		}
	}
	return slices.Concat(created, changed, jumpersFirst(gone))
}

func savedRules(rules []Rule) []string {
	out := make([]string, len(rules))
	for i, r := range rules {
		out[i] = r.saved()
	}
	return out
}

// jumpersFirst orders chains so that each comes after all that jump to it: a chain that is jumped to cannot be deleted.
func jumpersFirst(gone []change) []change {
	var out []change
	for len(gone) > 0 {
		next := slices.IndexFunc(gone, func(c change) bool {
			return !slices.ContainsFunc(gone, func(other change) bool {
				return other.table == c.table && other.chain != c.chain && jumpsTo(other.have, c.chain)
			})
		})
		next = max(next, 0) // a circle cannot come out of iptables; do not hang on one
		out = append(out, gone[next])
		gone = slices.Delete(gone, next, next+1)
	}
	return out
}

func jumpsTo(rules []string, chain string) bool {
	return slices.ContainsFunc(rules, func(r string) bool { return strings.HasSuffix(r, "-j "+chain) })
}

// A stage is calls that may be made at the same time, each lane one after the other.
type stage []lane

type lane []edit

// stages turns changes into calls. New chains are made, and filled, before anything jumps to them; chains that are gone
// go last; and at no moment between two calls does a packet find an endpoint's place empty.
func stages(changes []change) []stage {
	var made, filled, gone stage
	var changed lane
	for _, c := range changes {
		switch {
		case c.isNew:
			made = append(made, lane{{op: opNewChain, table: c.table, chain: c.chain}})
			filled = append(filled, c.rewrite())
		case c.gone:
			gone = append(gone, lane{{op: opDeleteChain, table: c.table, chain: c.chain}})
		case c.builtin:
			changed = append(changed, c.missing()...)
		default:
			changed = append(changed, c.rewrite()...)
		}
	}
	// Nothing jumps to a new chain yet, so these need no order among them. The others do.
	return []stage{made, filled, {changed}, {slices.Concat(gone...)}}
}

func countCalls(stages []stage) int {
	n := 0
	for _, s := range stages {
		for _, l := range s {
			n += len(l)
		}
	}
	return n
}

// missing are the insertions that bring a built-in chain's lost rules back, in their order. Rules of others stay.
func (c change) missing() []edit {
	var out []edit
	at := 0 // rules before this place are settled
	have := slices.Clone(c.have)
	for _, r := range c.want {
		if i := slices.Index(have[at:], r.saved()); i >= 0 {
			at += i + 1
			continue
		}
		out = append(out, edit{op: opInsert, table: c.table, chain: c.chain, number: at + 1, rule: r})
		have = slices.Insert(have, at, r.saved())
		at++
	}
	return out
}

// rewrite edits a chain rule by rule. What is the same at both ends stays, with its counters. In between, rules that
// are too few are inserted behind, then the others are replaced from the last to the first, then those too many are
// deleted from the last: the rules already in place are at any moment complete from some rule on, and since the last
// rule of a service's chain takes every packet, none falls through.
func (c change) rewrite() []edit {
	have, want := c.have, savedRules(c.want)
	head := 0
	for head < len(have) && head < len(want) && have[head] == want[head] {
		head++
	}
	tail := 0
	for tail < len(have)-head && tail < len(want)-head && have[len(have)-1-tail] == want[len(want)-1-tail] {
		tail++
	}
	var out []edit
	add := func(op operation, i int) {
		e := edit{op: op, table: c.table, chain: c.chain, number: i + 1}
		if op != opDelete {
			e.rule = c.want[i]
		}
		if op == opInsert && tail == 0 {
			e.op, e.number = opAppend, 0
		}
		out = append(out, e)
	}
	haveEnd, wantEnd := len(have)-tail, len(want)-tail
	for i := haveEnd; i < wantEnd; i++ {
		add(opInsert, i)
	}
	for i := min(haveEnd, wantEnd) - 1; i >= head; i-- {
		if have[i] != want[i] {
			add(opReplace, i)
		}
	}
	for i := haveEnd - 1; i >= wantEnd; i-- {
		add(opDelete, i)
	}
	return out
}

// restoreText is the stages as input for `iptables-restore --noflush`. Since the rules are complete after each edit,
// the text may be cut into transactions anywhere, see [transactions].
func restoreText(stages []stage) string {
	var b strings.Builder
	for _, table := range []string{"filter", "nat"} {
		begun := false
		for _, s := range stages {
			for _, e := range slices.Concat(s...) {
				if e.table != table {
					continue
				}
				if !begun {
					fmt.Fprintf(&b, "*%s\n", table)
					begun = true
				}
				b.WriteString(e.restoreLines())
			}
		}
		if begun {
			b.WriteString("COMMIT\n")
		}
	}
	return b.String()
}

func (e edit) restoreLines() string {
	switch e.op {
	case opNewChain:
		return fmt.Sprintf(":%s - [0:0]\n", e.chain)
	case opAppend:
		return fmt.Sprintf("-A %s %s\n", e.chain, e.rule)
	case opInsert:
		return fmt.Sprintf("-I %s %d %s\n", e.chain, e.number, e.rule)
	case opReplace:
		return fmt.Sprintf("-R %s %d %s\n", e.chain, e.number, e.rule)
	case opDelete:
		return fmt.Sprintf("-D %s %d\n", e.chain, e.number)
	case opDeleteChain:
		return fmt.Sprintf("-F %s\n-X %s\n", e.chain, e.chain)
	}
	panic(fmt.Sprintf("iptables: unknown operation %d", e.op))
}

// transactions cuts the input of iptables-restore so that no transaction has more than size lines.
func transactions(text string, size int) string {
	var b strings.Builder
	var table string
	n := 0
	for line := range strings.Lines(text) {
		switch {
		case line[0] == '*':
			table, n = line, 0
		case line == "COMMIT\n":
		case n == size:
			b.WriteString("COMMIT\n" + table)
			n = 1
		default:
			n++
		}
		b.WriteString(line)
	}
	return b.String()
}
