// Package replay takes the steps of a plan in a world of its own, and gives what was seen as evidence.
//
// A run has phases: the topology comes up, watchers start, rules go in, servers listen, steps are taken, and at last the
// state of every socket is noted. Every watcher is up before what it is to see, and after each step it is drained, so that
// all that the step caused is noted before the next begins. What became of the connections is not decided here: accounts
// and verdict are made of the evidence.
//
// A verb has one method, in a file take_*.go; what a source of facts notes stands in watch_*.go. Nothing is left behind,
// however a run ends: the namespaces have no names and go with the last descriptor of them.
package replay
