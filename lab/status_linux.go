package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// State is how a lab stands.
type State string

// The states.
const (
	IsUp     State = "up"
	Starting State = "starting" // somebody is building it right now
	Broken   State = "broken"   // it cannot be used any more; Reason says why
)

// Status is a lab's state, seen from outside.
type Status struct {
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
}

func broken(format string, args ...any) Status {
	return Status{Broken, fmt.Sprintf(format, args...)}
}

// Status looks whether all that the record names is really there: it believes no file. It needs no privileges beyond
// those of the lab's owner.
func (r *Record) Status() Status {
	boot, err := bootID()
	switch {
	case err != nil:
		return broken("%s", err)
	case boot != r.Boot:
		return broken("the machine was restarted")
	case !r.Complete && r.Builder.alive():
		return Status{State: Starting}
	case !r.Complete:
		return broken("it was not finished")
	case r.Holder != nil && !r.held():
		return broken("its process %d has ended", r.Holder.PID)
	}
	for _, name := range r.Blueprint.Topology.Names() {
		var st unix.Stat_t
		err := unix.Stat(filepath.Join(r.root(), r.path(name)), &st)
		if errors.Is(err, os.ErrNotExist) {
			return broken("namespace %s is gone", r.NamespaceName(name))
		}
		if err != nil {
			return broken("namespace %s: %s", r.NamespaceName(name), err)
		}
		if st.Ino != r.Namespaces[name] {
			return broken("namespace %s is another one", r.NamespaceName(name))
		}
	}
	return Status{State: IsUp}
}

// held tells whether the holder is alive, and the one that was noted.
func (r *Record) held() bool {
	return r.Holder.alive() && slices.Contains(arguments(r.Holder.PID), r.ID)
}

// root is where the folder of names is found by this process.
func (r *Record) root() string {
	if r.Holder == nil || r.entered() {
		return "/"
	}
	return fmt.Sprintf("/proc/%d/root", r.Holder.PID)
}

// entered tells whether this process is in the mount namespace of the lab's holder, or in a copy of it.
func (r *Record) entered() bool {
	var st unix.Stat_t
	for name, inode := range r.Namespaces {
		return unix.Stat(r.path(name), &st) == nil && st.Ino == inode
	}
	return false
}
