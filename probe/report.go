package probe

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Side is the end of a connection that a report comes from.
type Side string

// The two ends.
const (
	Client Side = "client"
	Server Side = "server"
)

// Call is the socket call that a report tells the result of.
type Call string

// The calls. Recv with no bytes and no error is the peer's end of stream.
const (
	Connect  Call = "connect"
	Accept   Call = "accept"
	Send     Call = "send"
	Recv     Call = "recv"
	Shutdown Call = "shutdown"
	Close    Call = "close"
)

// Report is the result of one socket call, as the program that made it sees it.
type Report struct {
	Side Side
	// At is the pod or node the program runs in.
	At string
	// Time is when the call returned, CLOCK_REALTIME. Began is when it was made: what it caused, down to the peer's answer,
	// may lie between the two. Zero for calls that wait, accept and a server's recv.
	Time, Began time.Time
	Call        Call
	// Connection is the client's number for the connection; 0 on a server that has not received anything yet.
	Connection int
	// Local and Remote are the socket's own two addresses: what getsockname and getpeername say.
	Local, Remote netip.AddrPort
	// Bytes is what the call sent or received.
	Bytes int
	// Data is what was received; nil for other calls.
	Data []byte
	// Err is the call's error, nil if it succeeded.
	Err error
}

// Errno is the name of the error an application would see, "ECONNRESET" for instance; empty if err is nil. An error
// that is no errno gives its text; a deadline that the program set itself counts as ETIMEDOUT.
func Errno(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return ""
	case errors.As(err, &errno):
		if name := unix.ErrnoName(errno); name != "" {
			return name
		}
	case isTimeout(err):
		return "ETIMEDOUT"
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
