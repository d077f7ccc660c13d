package peer

import (
	"errors"
	"fmt"
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

// String is the call and what it gave, in words: `send: ECONNRESET (connection reset by peer)`.
func (r Report) String() string {
	var text string
	switch {
	case r.Call == Connect:
		text = "connect " + r.Remote.String()
		if r.Err == nil {
			text = fmt.Sprintf("connect %s from %s", r.Remote, r.Local)
		}
	case r.Call == Accept:
		text = "accept from " + r.Remote.String()
	case r.Call == Recv && r.Err == nil && r.Bytes == 0:
		return "recv: end of stream"
	case r.Call == Recv && r.Err == nil:
		return fmt.Sprintf("recv: %d bytes %q", r.Bytes, r.Data)
	case r.Call == Send && r.Err == nil:
		return fmt.Sprintf("send: %d bytes, success", r.Bytes)
	default:
		text = string(r.Call)
	}
	if r.Err != nil {
		return text + ": " + ErrnoText(r.Err)
	}
	return text
}

// ErrnoText is an error with its name and in words, "ECONNRESET (connection reset by peer)"; an error that is no errno is
// its text alone.
func ErrnoText(err error) string {
	name := Errno(err)
	for errno := syscall.Errno(1); errno < 134; errno++ {
		if Errno(errno) == name {
			return fmt.Sprintf("%s (%s)", name, errno)
		}
	}
	return name
}
