package rulepath

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

// ErrRulesDiffer is returned by [Watcher.Learn] if the text is not that of the namespace's rules: they have changed
// since it was read, or they are not in nf_tables.
var ErrRulesDiffer = errors.New("the rules are not those of the text")

// iptablesTables are the tables that iptables knows.
var iptablesTables = []string{"raw", "mangle", "nat", "filter", "security"}

// ruleID names a rule for as long as it stays: one that replaces it (`iptables -R`) has the same handle.
type ruleID struct {
	table  string
	handle uint64
}

// book gives a rule's text.
type book map[ruleID]string

// handles are the rules of the kernel, chain by chain in their order.
type handles map[place][]uint64

// decodeRule reads one NFT_MSG_NEWRULE of a dump into h, if it is in a table of iptables.
func (h handles) decodeRule(payload []byte) error {
	var where place
	var handle uint64
	err := nlmsg.EachNetfilter(payload, func(a nlmsg.Attribute) error {
		switch a.Type {
		case ruleTable:
			where.table = a.Text()
		case ruleChain:
			where.chain = a.Text()
		case ruleHandle:
			return a.Uint64(&handle)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if slices.Contains(iptablesTables, where.table) {
		h[where] = append(h[where], handle)
	}
	return nil
}

// pair gives the n-th handle of each chain the n-th text. It fails unless both have the same number of rules everywhere.
func pair(h handles, saved savedRules) (book, error) {
	b := book{}
	for where, texts := range saved {
		if len(h[where]) != len(texts) {
			return nil, fmt.Errorf("%w: %s %s has %d rules in the text, %d in nf_tables", ErrRulesDiffer, where.table,
				where.chain, len(texts), len(h[where]))
		}
		for i, handle := range h[where] {
			b[ruleID{where.table, handle}] = texts[i]
		}
	}
	for where, in := range h {
		if _, ok := saved[where]; !ok {
			return nil, fmt.Errorf("%w: %s %s has no rules in the text, %d in nf_tables", ErrRulesDiffer, where.table,
				where.chain, len(in))
		}
	}
	return b, nil
}

// resolve gives hops their texts that have none. A text that cannot lead to the hop's verdict is not given.
func (b book) resolve(hops []Hop) {
	for i, h := range hops {
		if h.Text != "" {
			continue
		}
		if text, ok := b[ruleID{h.Table, h.Handle}]; ok && h.fits(text) {
			hops[i].Text = text
		}
	}
}

// decodeChain reads the table of one NFT_MSG_NEWCHAIN of a dump.
func decodeChain(payload []byte) (table string, err error) {
	err = nlmsg.EachNetfilter(payload, func(a nlmsg.Attribute) error {
		if a.Type == chainTable {
			table = a.Text()
		}
		return nil
	})
	return table, err
}
