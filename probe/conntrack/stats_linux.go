package conntrack

import (
	"fmt"
	"os"

	"github.com/ctsim/ctsim/topology"
)

// ReadStats gives the counters of the namespace. Equivalent: `conntrack -S`, summed over its lines.
func ReadStats(ns *topology.Namespace) (Stats, error) {
	var text []byte
	err := ns.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/stat/nf_conntrack")
		return err
	})
	if err != nil {
		return Stats{}, fmt.Errorf("conntrack statistics of %s: %w", ns.Name(), err)
	}
	return parseStats(string(text))
}
