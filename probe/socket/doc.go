// Package socket reads the TCP sockets of one network namespace, with their timers and retransmissions, through
// sock_diag: what `ss -tino` and `netstat -tn --timers` print, as plain values.
//
// Decoding the kernel's messages is pure, so recorded messages replay without privileges. Only the *_linux.go files talk
// to the kernel: [List] reads all sockets once, [Open] is for whoever asks often. [ListProc] reads /proc/net/tcp instead,
// where sock_diag is not to be had.
package socket
