// Package dataplane says what a mode of kube-proxy is: how it turns services into rules, puts them into a node, changes
// them, and counts what they met. A mode is one package that implements [Mode] and one line in the table of package
// modes; whoever replays, builds a lab or examines a machine knows this interface and that table, and no mode.
package dataplane
