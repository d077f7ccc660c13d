package socket

import (
	"errors"

	"github.com/ctsim/ctsim/topology"
)

// List gives all TCP sockets of a namespace, see [Reader.List]. Open a [Reader] to look many times.
func List(ns *topology.Namespace) ([]Socket, error) {
	r, err := Open(ns)
	if err != nil {
		return nil, err
	}
	sockets, err := r.List()
	return sockets, errors.Join(err, r.Close())
}
