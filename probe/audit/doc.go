// Package audit looks at the TCP connections that a machine really has and says which of them conntrack would cut: those
// that stay silent for longer than their entry lives, because their first keepalive probe comes too late or never.
//
// Each connection is judged from plain facts, and [Assemble] does so for a namespace; that is pure. Only the
// *_linux.go files talk to the kernel, through [Open]. They read: no rule, sysctl, entry or socket is changed, no module
// of the kernel is loaded, and no namespace is entered but by a thread that ends with it. What the caller may not see is
// said in [Report.Missing] and [Namespace.Problems], not guessed at.
package audit
