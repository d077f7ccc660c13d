package dataplane

import (
	"errors"
)

// ErrNotInstalled is matched by the error of [Mode].Open if the machine lacks a program that the mode needs.
var ErrNotInstalled = errors.New("not installed")

// Rules is everything that a mode writes on one node for its services: a value of the mode's own, of which others see
// the text. It is never changed after it was made.
type Rules interface {
	// Err is why there are no rules: the settings or services were not valid. It is nil if there are rules.
	Err() error
	// Save is the rules as the mode's own program lists them once they are installed, without counters and comments:
	// as `iptables-save` does, for instance. Equal texts mean equal rules, and the lines are fit for a diff.
	Save() string
}

// Counter tells how often one rule matched.
type Counter struct {
	// Table and Chain are where the rule stands, Number is its place in the chain from 1 on, as in
	// `iptables -t TABLE -L CHAIN --line-numbers`.
	Table, Chain string
	Number       int
	// Rule is the rule as the mode's own program prints it, as iptables-save does after `-A CHAIN `, for instance.
	Rule string
	// Packets and Bytes count what matched since the rule was written. In the nat table that is one packet, the
	// first, for each connection.
	Packets, Bytes uint64
}
