package topology

import (
	"context"
	"net"
)

func dialOnce(ctx context.Context, from, to *Namespace, address string) error {
	var l net.Listener
	err := to.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(ctx, "tcp4", address)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	return from.Do(func() error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp4", address)
		if err != nil {
			return err
		}
		return c.Close()
	})
}
