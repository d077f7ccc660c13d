// Package cmdline is what ctsim's commands have in common as commands: the words that were typed and in what order they
// may come, the streams, colours and width of the terminal, what is said of an error and with which exit code ctsim
// ends, and the signals that end it before.
package cmdline
