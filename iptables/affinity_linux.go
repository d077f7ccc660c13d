package iptables

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"

	"github.com/ctsim/ctsim/dataplane"
)

// recentLists is where the lists of xt_recent are, for a thread in its namespace.
const recentLists = "/proc/thread-self/net/xt_recent"

var _ dataplane.AffinityKeeper = (*Node)(nil)

// Affinities are the lists of xt_recent. Equivalent: `cat /proc/net/xt_recent/*` in the namespace.
func (n *Node) Affinities() ([]dataplane.Affinity, error) {
	var out []dataplane.Affinity
	err := n.within("read the affinities", func() error {
		lists, err := os.ReadDir(recentLists)
		if errors.Is(err, os.ErrNotExist) {
			return nil // no rule asks for one
		}
		for _, list := range lists {
			text, readErr := os.ReadFile(filepath.Join(recentLists, list.Name()))
			some, parseErr := parseAffinities(list.Name(), string(text))
			if bad := cmp.Or(readErr, parseErr); bad != nil {
				return bad
			}
			out = append(out, some...)
		}
		return err
	})
	return out, err
}

// Forget takes a client out of a list. Equivalent: `echo -172.18.219.65 >/proc/net/xt_recent/KUBE-SEP-…`.
func (n *Node) Forget(a dataplane.Affinity) error {
	return n.within("forget an affinity", func() error {
		f, err := os.OpenFile(filepath.Join(recentLists, filepath.Base(a.List)), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString("-" + a.Client.String() + "\n")
		return errors.Join(err, f.Close())
	})
}
