package replay

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
)

// What a run holds open at most, as measured, rounded up: its own files, the kernel's tracepoints among them; a pod's
// namespace, capture, server and reader; a node's, and conntrack's events and the traces; a connection's two sockets.
const (
	descriptorsOfRun        = 72
	descriptorsOfCPU        = 4
	descriptorsOfPod        = 5
	descriptorsOfNode       = 12
	descriptorsOfConnection = 2
)

// Descriptors is how many file descriptors the run of a plan may hold open, beyond those that are open before it.
func Descriptors(p *scenario.Plan) int {
	ends := descriptorsOfConnection
	if p.UDP() {
		ends = 1 // a server has one socket for all
	}
	return descriptorsOfRun + descriptorsOfCPU*runtime.NumCPU() + descriptorsOfNode*len(p.Nodes) +
		descriptorsOfPod*(len(p.Pods)+len(p.Machines)+len(p.Latecomers)) + ends*p.MostConnections()
}

// roomFor refuses a run that would be out of descriptors before its end: what ctsim lacks would then look like what
// becomes of a connection. Go has raised the soft limit to the hard one when the program started.
func roomFor(p *scenario.Plan) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	if need := len(open) + Descriptors(p); uint64(need) > limit.Cur {
		return tooFewDescriptors(fmt.Sprintf("%d file descriptors are needed for %d connections and %d namespaces, %d are allowed",
			need, p.MostConnections(), len(p.Nodes)+len(p.Pods)+len(p.Machines)+len(p.Latecomers), limit.Cur), need, nil)
	}
	return nil
}

func tooFewDescriptors(what string, need int, err error) error {
	return &build.Unsupported{What: what, Err: err,
		Hint: fmt.Sprintf("sudo prlimit --pid $$ --nofile=%d:%d", need, need)}
}

// lacks tells whether an error says that this machine had no room for what ctsim wanted; any other is a fact about a
// connection.
func lacks(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// lacked is what one of ctsim's own programs had no room for, as an error that ends the run; nil if there was nothing.
func (w *world) lacked() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lack == nil {
		return nil
	}
	return tooFewDescriptors("this machine has not enough for the run", 2*Descriptors(w.plan), w.lack)
}
