package socket

import (
	"errors"
	"fmt"
	"os"

	"github.com/ctsim/ctsim/topology"
)

// ListProc gives the TCP sockets of a namespace from its /proc/net/tcp and tcp6, see [ParseProc]. It needs no module of
// the kernel, where [List] may make it load inet_diag and tcp_diag, as ss does. It takes longer and knows less.
func ListProc(ns *topology.Namespace) ([]Socket, error) {
	var sockets []Socket
	err := ns.Do(func() error {
		for _, name := range []string{"tcp", "tcp6"} {
			some, err := readProc("/proc/thread-self/net/" + name)
			if errors.Is(err, os.ErrNotExist) && name == "tcp6" {
				continue // a kernel without IPv6
			}
			if err != nil {
				return err
			}
			sockets = append(sockets, some...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("TCP sockets of %s: %w", ns.Name(), err)
	}
	return sockets, nil
}

func readProc(path string) (sockets []Socket, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return ParseProc(f)
}
