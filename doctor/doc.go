// Package doctor finds out what this machine can do for ctsim, by doing it: every check makes what a run would make, a
// link, a rule, an entry, a capture, in a network namespace of its own that goes when the check ends. Nothing of the
// machine's own network is touched, except that the kernel may load a module it was asked for, as in a run.
//
// The checks are lines of one table, in checks_linux.go. They do not know of each other and run side by side, so that
// what is missing does not hide what else is. Each says what it is needed for and, if it fails, gives a command that
// mends it.
//
// There are three answers: ok, missing, and unknown for what could not be asked, because something else is missing.
package doctor
