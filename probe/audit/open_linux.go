package audit

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ctsim/ctsim/topology"
)

// namedDir is where `ip netns` keeps namespaces that have a name.
const namedDir = "/run/netns"

// Target is what to look at. The zero value is the namespace that ctsim was started in.
type Target struct {
	// PID looks at the namespace of a process, and only at the sockets that this process has open.
	PID int
	// Namespace looks at one by its name under /run/netns, or by its path if it has a slash in it.
	Namespace string
	// All looks at every namespace that can be found.
	All bool
	// Node is the namespace, named likewise, whose table also tracks the connections of the others; empty is the one that
	// ctsim was started in, as it is on a node.
	Node string
}

// TargetError says that a target is not there, or that the caller may not look at it: [errors.Is] os.ErrNotExist,
// os.ErrPermission or topology.ErrNotNetwork.
type TargetError struct {
	What string
	Err  error
}

func (e *TargetError) Error() string { return fmt.Sprintf("%s: %s", e.What, e.Err) }

func (e *TargetError) Unwrap() error { return e.Err }

// Auditor looks at one target, again and again if need be. Its methods are not to be called side by side.
type Auditor struct {
	target Target
	filter Filter
	// one is the namespace to look at, nil for all.
	one, current, node *topology.Namespace
	// kernel is nil where BPF is not to be had, and blind says why.
	kernel *insider
	blind  error
}

// Open finds the target and, unless it is all namespaces, holds on to it: a namespace lives on even if its last process
// ends. The errors are [TargetError] for what the caller named.
func Open(target Target, filter Filter) (a *Auditor, err error) {
	a = &Auditor{target: target, filter: filter}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
			a = nil
		}
	}()
	if a.current, err = topology.CurrentNamespace("current"); err != nil {
		return a, err
	}
	if target.Node != "" {
		if a.node, err = named("--node", target.Node); err != nil {
			return a, err
		}
	}
	// Without it a report says less, and says so.
	a.kernel, a.blind = openInsider()
	switch {
	case target.PID > 0:
		what := fmt.Sprintf("process %d", target.PID)
		a.one, err = topology.OpenNamespace(what, fmt.Sprintf("/proc/%d/ns/net", target.PID))
		if err != nil {
			err = &TargetError{what, err}
		}
	case target.Namespace != "":
		a.one, err = named("--netns", target.Namespace)
	case !target.All:
		a.one, err = topology.CurrentNamespace("current")
	}
	return a, err
}

// named opens a namespace by name or path.
func named(flag, name string) (*topology.Namespace, error) {
	path := name
	if !strings.Contains(name, "/") {
		path = filepath.Join(namedDir, name)
	}
	ns, err := topology.OpenNamespace(name, path)
	if err != nil {
		return nil, &TargetError{flag + " " + name, err}
	}
	return ns, nil
}

// Close lets go of the namespaces.
func (a *Auditor) Close() error {
	var errs []error
	if a.kernel != nil {
		errs = append(errs, a.kernel.close())
	}
	for _, ns := range []*topology.Namespace{a.one, a.current, a.node} {
		if ns != nil {
			errs = append(errs, ns.Close())
		}
	}
	return errors.Join(errs...)
}
