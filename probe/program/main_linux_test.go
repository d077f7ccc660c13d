package program

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// listenVariable makes the test's binary a program that listens on a port and holds a connection to itself, its
// client's end with keepalive as the second number says.
const listenVariable = "CTSIM_TEST_LISTEN"

func TestMain(m *testing.M) {
	if port := os.Getenv(listenVariable); port != "" {
		if err := serve(port); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func serve(port string) error {
	l, err := net.Listen("tcp4", "0.0.0.0:"+port)
	if err != nil {
		return err
	}
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 42 * time.Second, Interval: 7 * time.Second, Count: 3}}
	c, err := d.DialContext(context.Background(), "tcp4", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	fmt.Println("connected")
	time.Sleep(1000 * time.Second)
	return errors.Join(c.Close(), l.Close())
}
