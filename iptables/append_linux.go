package iptables

import (
	"strconv"
)

// Append adds one rule of the caller's own to the end of a chain that exists: what a rule needs of the kernel and of the
// iptables command can be found out so. Equivalent: `iptables -t TABLE -A CHAIN RULE`.
func (n *Node) Append(table, chain string, rule ...string) error {
	args := append([]string{"-w", strconv.Itoa(lockWait), "-t", table, "-A", chain}, rule...)
	return n.within("append a rule", func() error {
		_, err := run("", n.programs.iptables, args...)
		return err
	})
}
