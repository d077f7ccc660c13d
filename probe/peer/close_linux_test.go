package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ctsim/ctsim/topology"
)

// TestKernelStopIsAtOnce: once a server has stopped, nobody is accepted any more, however many programs are being
// started at the time. Closing the descriptor alone fails here within a few dozen
// rounds.
func TestKernelStopIsAtOnce(t *testing.T) {
	ns := loopback(t)
	defer startPrograms()()
	for i := range 200 {
		if err := refusedAfterStop(ns); err != nil {
			t.Fatalf("round %d: %v", i+1, err)
		}
	}
}

func refusedAfterStop(ns *topology.Namespace) error {
	nothing := func(Report) {}
	// Not a port that the kernel chooses: it might choose it for the client too, which then connects to itself.
	l, err := Serve(ns, netip.MustParseAddrPort("127.0.0.1:2222"), SocketOptions{}, nothing)
	if err != nil {
		return err
	}
	if err := l.Stop(); err != nil {
		return err
	}
	conn, _, err := Dial(context.Background(), ns, TCP, 1, netip.MustParseAddrPort("127.0.0.1:0"), l.Address(), SocketOptions{}, nothing)
	if err == nil {
		conn.Abandon()
		return errors.New("connected to a server that has stopped")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return nil
}

// TestKernelDatagramsStopAtOnce is the same for UDP: what is sent to a server that has stopped is refused.
func TestKernelDatagramsStopAtOnce(t *testing.T) {
	ns := loopback(t)
	defer startPrograms()()
	for i := range 200 {
		d, err := ServeDatagrams(ns, netip.MustParseAddrPort("127.0.0.1:0"), func(Report) {})
		if err != nil {
			t.Fatal(err)
		}
		if err = d.Stop(); err != nil {
			t.Fatalf("round %d: %v", i+1, err)
		}
		err = sendTo(ns, d.Address())
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("round %d: %v", i+1, err)
		}
	}
}

// sendTo sends a datagram and waits for what comes back.
func sendTo(ns *topology.Namespace, to netip.AddrPort) error {
	return ns.Do(func() error {
		conn, err := net.Dial("udp4", to.String())
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err = conn.Write([]byte("x")); err != nil {
			return err
		}
		if err = conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		_, err = conn.Read(make([]byte, 1))
		return err
	})
}

// TestKernelCloseIsAtOnce: a FIN is on its way when Close returns.
func TestKernelCloseIsAtOnce(t *testing.T) {
	ns := loopback(t)
	defer startPrograms()()
	ended := make(chan struct{}, 1)
	l, err := ServeReading(ns, netip.MustParseAddrPort("127.0.0.1:0"), SocketOptions{}, Reading{}, func(r Report) {
		if r.Call == Recv && r.Bytes == 0 {
			ended <- struct{}{}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 200 {
		conn, _, err := Dial(context.Background(), ns, TCP, 1, netip.MustParseAddrPort("127.0.0.1:0"), l.Address(), SocketOptions{}, func(Report) {})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		state := ""
		for _, c := range l.Conns() {
			if s, err := c.State(); err == nil && c.Remote() == conn.Local() {
				state = s.State
			}
		}
		if state != "" && state != "CLOSE_WAIT" { // not accepted yet is as good
			t.Fatalf("round %d: the other side is in %s", i+1, state)
		}
		<-ended
	}
}

// startPrograms starts programs all the time until the function that it gives is called.
func startPrograms() (end func()) {
	stop := make(chan struct{})
	var starting sync.WaitGroup
	for range 4 {
		starting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("/bin/true").Run() // that it starts is all that counts
				}
			}
		})
	}
	return func() {
		close(stop)
		starting.Wait()
	}
}

// TestKernelPortsOfTheirOwn: no two sockets of a client have the same port, however few there are.
func TestKernelPortsOfTheirOwn(t *testing.T) {
	const sockets = 8
	ns := loopback(t)
	if err := ns.SetSysctl("net.ipv4.ip_local_port_range", "40000 40015"); err != nil {
		t.Fatal(err)
	}
	nothing := func(Report) {}
	l, err := Serve(ns, netip.MustParseAddrPort("127.0.0.1:2222"), SocketOptions{}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Stop() }()
	for _, protocol := range []Protocol{TCP, UDP} {
		taken := map[uint16]bool{}
		for i := range sockets {
			conn, from, err := Dial(context.Background(), ns, protocol, i+1, netip.MustParseAddrPort("127.0.0.1:0"), l.Address(), SocketOptions{}, nothing)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Abandon()
			if taken[from.Port()] {
				t.Errorf("%s: two sockets have port %d", protocol, from.Port())
			}
			taken[from.Port()] = true
		}
	}
}
