package replay

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/scenario/build"
)

// A node remembers for a time which endpoint a client went to, and by the kernel's clock: what ages are made up of it does
// not know. How old each affinity is meant to be is kept here, and what is too old is taken out.

// affinityKey is one affinity of one node.
type affinityKey struct {
	node, list string
	client     netip.Addr
}

// affinityAge is how old an affinity is meant to be at a moment; it is young again once its stamp is another.
type affinityAge struct {
	stamp uint64
	age   time.Duration
	at    time.Time
}

// ageAffinities makes every affinity older, and forgets what has become too old; by may be 0. Of what was never aged the
// kernel knows the age by itself.
func (r *run) ageAffinities(by time.Duration) error {
	limit := r.plan.Service.Affinity
	if limit == 0 || by == 0 && len(r.aged) == 0 {
		return nil
	}
	for _, node := range r.plan.NodeNames() {
		keeper, can := r.rules[node].(dataplane.AffinityKeeper)
		if !can {
			return fmt.Errorf("ageing would lie: kube-proxy's %s mode remembers for %s where a client went, which cannot be made older", r.mode.Name(), limit)
		}
		all, err := keeper.Affinities()
		if err != nil {
			return err
		}
		for _, a := range all {
			if !r.older(affinityKey{node, a.List, a.Client}, a.Stamp, by, limit, time.Now()) {
				continue
			}
			if err := keeper.Forget(a); errors.Is(err, os.ErrPermission) {
				return &build.Unsupported{What: "only root can make a client's affinity older", Hint: "run it with sudo", Err: err}
			} else if err != nil {
				return err
			}
			r.note(node, "affinity", fmt.Sprintf("the affinity of %s, older than %s, is over", a.Client, limit))
		}
	}
	return nil
}

// older notes that an affinity is older by so much than it was a moment ago, and tells whether it is too old now.
func (r *run) older(key affinityKey, stamp uint64, by, limit time.Duration, now time.Time) bool {
	was, known := r.aged[key]
	if !known || was.stamp != stamp {
		if by == 0 {
			delete(r.aged, key) // the client was seen since
			return false
		}
		was = affinityAge{stamp: stamp, at: now}
	}
	was.age += by + now.Sub(was.at)
	was.at = now
	if was.age >= limit {
		delete(r.aged, key)
		return true
	}
	r.aged[key] = was
	return false
}
