// Peer is the client and the server of flush-multi-backend.sh, the article's two C programs: blocking sockets,
// keepalive off, ten bytes a send.
//
//	peer server ADDRESS   accepts and reads for ever; prints "listening" when it does
//	peer client ADDRESS   connects and prints "connected"; sends once for each line on stdin and prints how it went
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fail(errors.New("usage: peer server|client ADDRESS"))
	}
	switch kind, address := os.Args[1], os.Args[2]; kind {
	case "server":
		fail(server(address))
	case "client":
		if err := client(address); err != nil {
			fail(err)
		}
	default:
		fail(fmt.Errorf("unknown kind %q, want server or client", kind))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "peer:", err)
	os.Exit(1)
}

func server(address string) error {
	config := net.ListenConfig{KeepAlive: -1}
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp4", address)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			io.Copy(io.Discard, conn)
		}()
	}
}

func client(address string) error {
	dialer := net.Dialer{KeepAlive: -1, Timeout: 10 * time.Second}
	conn, err := dialer.Dial("tcp4", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Println("connected")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		_, err := conn.Write(make([]byte, 10))
		var errno syscall.Errno
		switch {
		case err == nil:
			fmt.Println("Success")
		case errors.As(err, &errno):
			fmt.Println(errno.Error())
		default:
			return err
		}
	}
	return lines.Err()
}
