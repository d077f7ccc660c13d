package replay

import (
	"errors"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/kernel"
	"github.com/ctsim/ctsim/topology"
)

// kernelWatcher is the kernel's own trace. Reading the kernel's types takes longest of all watchers, so that it starts
// beside the topology and joins the others later.
type kernelWatcher struct {
	*kernel.Watcher
	recorder *recorder
	err      error
	started  chan struct{}
	// joined is true once it is known that it has started well.
	joined bool
	// places are the names of the namespaces, by inode number.
	places map[uint64]string
}

// Drain has nothing to wait for before the first step.
func (w *kernelWatcher) Drain() error {
	if !w.joined {
		return nil
	}
	return w.Watcher.Drain()
}

func (w *kernelWatcher) Close() error {
	<-w.started
	if w.Watcher == nil {
		return nil
	}
	err := w.Watcher.Close()
	w.recorder.mu.Lock()
	defer w.recorder.mu.Unlock()
	w.recorder.ev.Lost[string(evidence.FromKernel)] += w.Lost()
	return err
}

// startKernel begins to start the kernel's trace and does not wait for it.
func (x *watching) startKernel() {
	if !x.options.watches(evidence.FromKernel) {
		return
	}
	w := &kernelWatcher{recorder: &x.recorder, started: make(chan struct{}), places: map[uint64]string{}}
	x.kernel = w
	x.watchers = append(x.watchers, w)
	go func() {
		defer close(w.started)
		w.Watcher, w.err = kernel.Watch(w.event)
	}()
}

// joinKernel waits until the kernel's trace has started, and watches every namespace of the lab.
func (x *watching) joinKernel() error {
	w := x.kernel
	if w == nil {
		return nil
	}
	<-w.started
	var unavailable *kernel.Unavailable
	if errors.As(w.err, &unavailable) {
		x.missing(evidence.FromKernel, w.err.Error())
		return nil
	} else if w.err != nil {
		return w.err
	}
	x.ev.Lost[string(evidence.FromKernel)] += 0
	w.joined = true
	for _, name := range x.lab.Names() {
		if ns := x.lab.Namespace(name); ns != nil {
			if err := x.watchKernel(ns); err != nil {
				return err
			}
		}
	}
	return nil
}

// watchKernel adds a namespace.
func (x *watching) watchKernel(ns *topology.Namespace) error {
	if x.kernel == nil || !x.kernel.joined {
		return nil
	}
	x.mu.Lock()
	x.kernel.places[ns.Inode()] = ns.Name()
	x.mu.Unlock()
	return x.kernel.Add(ns)
}

func (w *kernelWatcher) event(e kernel.Event) {
	r := w.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	ev := evidence.KernelEvent{At: w.places[e.Namespace], Event: e}
	r.ev.Kernel = append(r.ev.Kernel, ev)
	if !r.ev.Folded(len(r.ev.Kernel) - 1) {
		r.live(func() evidence.Observation { return r.ev.KernelObservation(&ev, r.index.Kernel(&ev)) })
	}
}
