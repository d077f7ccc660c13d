package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"github.com/ctsim/ctsim/kube"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/build"
	"github.com/ctsim/ctsim/topology"
)

// ErrNoChange is matched by the error of AddBackend and RemoveBackend if the pod is, or is not, an endpoint already.
var ErrNoChange = errors.New("nothing to change")

// ErrFull is matched by the error of AddBackend if there is no address left for another pod.
var ErrFull = fmt.Errorf("there is room for %d server pods, counted since the lab was made", scenario.MaxBackends)

// AddBackend makes a server pod an endpoint of the service: the one named, or with an empty name a new one. All nodes'
// rules follow, as kube-proxy's do.
func AddBackend(ctx context.Context, s *Store, name, pod string) (added Backend, err error) {
	err = change(ctx, s, name, func(l *Lab) error {
		if pod == "" {
			if pod, err = l.startPod(ctx); err != nil {
				return err
			}
		}
		b := l.backend(pod)
		if b == nil {
			return &NoPod{pod, l.podNames()}
		}
		if b.Endpoint {
			return fmt.Errorf("%s is an endpoint already: %w", pod, ErrNoChange)
		}
		l.Blueprint.Service.Endpoints = append(l.Blueprint.Service.Endpoints, l.endpoint(b.Address))
		added = *b
		added.Endpoint = true
		return l.sync()
	})
	return added, err
}

// startPod starts the next server pod.
func (l *Lab) startPod(ctx context.Context) (string, error) {
	if l.Backends >= scenario.MaxBackends {
		return "", ErrFull
	}
	plan, err := scenario.Scenario{Name: l.Scenario, TimeScale: l.TimeScale, World: l.World}.WorldPlan(scenario.Size{Backends: l.Backends + 1})
	if err != nil {
		return "", err
	}
	pod := plan.Pods[len(plan.Pods)-1] // as there would be with one more
	// Somebody may have been killed in making this very pod.
	if err := l.unname(pod.Name); err != nil {
		return "", err
	}
	if err := l.addPod(ctx, pod); err != nil {
		return "", err
	}
	err = l.world.Ready(ctx)
	if err == nil {
		err = l.name(l.Namespace(pod.Name))
	}
	if err != nil {
		return "", errors.Join(err, l.world.RemovePod(pod.Name))
	}
	l.Backends++
	l.Blueprint.Topology = l.world.Plan()
	return pod.Name, nil
}

// addPod makes a pod. The links of one that has just gone are there for a moment longer than its namespace's name.
func (l *Lab) addPod(ctx context.Context, pod scenario.Pod) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := l.world.AddPod(pod.Node, build.TopologyPod(pod), nil)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// RemoveBackend takes a server pod out of the service's endpoints, as kube-proxy does: its rules go, entries of TCP
// connections are left alone, those of UDP flows to it are deleted. The pod goes on running; with stop it is taken away
// too, and processes in it are ended.
func RemoveBackend(ctx context.Context, s *Store, name, pod string, stop bool) (ended []Ended, err error) {
	err = change(ctx, s, name, func(l *Lab) error {
		b := l.backend(pod)
		if b == nil {
			return &NoPod{pod, l.podNames()}
		}
		if !b.Endpoint && !stop {
			return fmt.Errorf("%s is no endpoint: %w", pod, ErrNoChange)
		}
		svc := &l.Blueprint.Service
		svc.Endpoints = slices.DeleteFunc(svc.Endpoints, func(a netip.AddrPort) bool { return a == l.endpoint(b.Address) })
		if err := errors.Join(l.sync(), l.forget(b.Address)); err != nil || !stop {
			return err
		}
		ended, err = l.stopPod(ctx, pod)
		return err
	})
	return ended, err
}

// forget deletes the entries of UDP flows to an endpoint that is gone: a client with a fixed port would never reach
// another one. Equivalent: `conntrack -D -p udp --orig-dst CLUSTER-IP --reply-src ADDRESS`.
func (l *Lab) forget(address netip.Addr) error {
	if l.Blueprint.Service.Protocol != kube.UDP {
		return nil
	}
	for _, node := range l.Nodes() {
		entries, err := l.Table(node)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Original.Protocol != conntrack.ProtocolUDP || e.Reply.Src.Addr() != address ||
				e.Original.Dst.Addr() != l.Blueprint.Service.ClusterIP {
				continue
			}
			if _, err := conntrack.Delete(l.Namespace(node), e.Entry); err != nil && !errors.Is(err, conntrack.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}

func (l *Lab) stopPod(ctx context.Context, pod string) ([]Ended, error) {
	ended, err := endProcesses(ctx, func(p *candidate) bool { return p.netns == l.Namespaces[pod] })
	if err != nil {
		return ended, err
	}
	delete(l.Namespaces, pod)
	return ended, errors.Join(l.world.RemovePod(pod), topology.Unpin(l.path(pod)))
}

func (r *Record) backend(pod string) *Backend {
	for _, b := range r.Servers() {
		if b.Pod == pod {
			return &b
		}
	}
	return nil
}

func (r *Record) podNames() (names []string) {
	for _, b := range r.Servers() {
		names = append(names, b.Pod)
	}
	return names
}

// NoPod is the error of a name that none of the lab's pods and nodes has.
type NoPod struct {
	Name string
	// Known are those that would have been accepted.
	Known []string
}

// Error says which is missing, without those that are known.
func (e *NoPod) Error() string { return fmt.Sprintf("there is no pod or node %q", e.Name) }
