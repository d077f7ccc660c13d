package rulepath

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ctsim/ctsim/topology"
)

// ErrUnavailable is in the chain of the error of [Available].
var ErrUnavailable = errors.New("no rule of this namespace can be traced")

// Available tells whether the rules of a namespace can be traced: nil if they can. Otherwise the error matches
// [ErrUnavailable] and says why: nothing of iptables is in nf_tables, either because there are no rules yet or because
// they are those of iptables-legacy; or the kernel has no nf_tables. Ask after the rules were installed.
func Available(ns *topology.Namespace) error {
	tables, err := tablesOf(ns)
	if err != nil {
		return fmt.Errorf("%s: %w: nf_tables: %w", ns.Name(), ErrUnavailable, err)
	}
	for table := range tables {
		if slices.Contains(iptablesTables, table) {
			return nil
		}
	}
	return fmt.Errorf("%s: %w: nf_tables holds none of iptables (iptables-legacy keeps its own)", ns.Name(), ErrUnavailable)
}

func tablesOf(ns *topology.Namespace) (map[string]bool, error) {
	c, err := openControl(ns)
	if err != nil {
		return nil, err
	}
	tables, err := c.tables()
	return tables, errors.Join(err, c.close())
}
