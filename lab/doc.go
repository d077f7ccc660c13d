// Package lab keeps a scenario's world standing to work in by hand: its namespaces have names, it outlives the process
// that made it and the terminal that was typed in, and later commands find it again.
//
// A Record says what a lab is made of; the Store, a folder of the user's, holds a Record for each lab. Build makes one,
// Open enters one that is up, Down takes it away. The namespaces are named as `ip netns` names them, by mounts in
// /run/netns. For root these are the machine's own, and no process has to stay. An ordinary user's are in a mount
// namespace that goes with its user namespace; a process that does nothing else, the holder (Hold), keeps both, and
// whoever wants to work in the lab goes there first.
//
// What a lab owns carries its mark, the Record's ID: on the loopback interface of each namespace, in the command line
// of the holder, in the environment of what is started in a pod. Only what carries it is ever taken away.
package lab
