package rulepath

import "strings"

// savedRules are the rules of iptables-save, chain by chain in their order.
type savedRules map[place][]string

// parseSave reads what iptables-save prints, with or without -c. Lines that are no rules are passed over.
func parseSave(save string) savedRules {
	rules := savedRules{}
	table := ""
	for line := range strings.Lines(save) {
		line = strings.TrimRight(line, "\r\n")
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table = name
			continue
		}
		if strings.HasPrefix(line, "[") { // counters
			_, line, _ = strings.Cut(line, "] ")
		}
		if rule, ok := strings.CutPrefix(line, "-A "); ok {
			chain, text, _ := strings.Cut(rule, " ")
			rules[place{table, chain}] = append(rules[place{table, chain}], text)
		}
	}
	return rules
}
