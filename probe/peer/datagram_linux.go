package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/ctsim/ctsim/topology"
)

// Datagrams is a UDP server that answers every message with the same bytes, so that conntrack sees both directions.
type Datagrams struct {
	ns     *topology.Namespace
	at     string
	socket net.PacketConn
	report func(Report)
	done   chan struct{}
}

// ServeDatagrams listens for UDP in a namespace; the report function is called from one goroutine and must not block.
func ServeDatagrams(ns *topology.Namespace, address netip.AddrPort, report func(Report)) (*Datagrams, error) {
	d := &Datagrams{ns: ns, at: ns.Name(), report: report, done: make(chan struct{})}
	err := ns.Do(func() (err error) {
		d.socket, err = (&net.ListenConfig{}).ListenPacket(context.Background(), string(UDP), address.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	go d.answer()
	return d, nil
}

func (d *Datagrams) answer() {
	defer close(d.done)
	buf := make([]byte, 1500)
	for {
		n, from, err := d.socket.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		r := Report{Side: Server, At: d.at, Call: Recv, Time: time.Now(), Local: addrPort(d.socket.LocalAddr()),
			Bytes: n, Data: slices.Clone(buf[:n]), Err: err}
		if from != nil {
			r.Remote = addrPort(from)
		}
		if id, _, ok := ParseMessage(buf[:n]); ok {
			r.Connection = id
		}
		d.report(r)
		if err == nil {
			r.Began = time.Now()
			// An ICMP error of an earlier answer is met by the next ReadFrom.
			r.Call, r.Data = Send, nil
			r.Bytes, r.Err = d.socket.WriteTo(buf[:n], from)
			r.Time = time.Now()
			d.report(r)
		}
	}
}

// Address is what the socket is bound to, with the port that the kernel chose if none was asked for.
func (d *Datagrams) Address() netip.AddrPort { return addrPort(d.socket.LocalAddr()) }

// Stop ends the server; a UDP server has no connections to keep.
func (d *Datagrams) Stop() error {
	address := d.Address()
	err := closeBound(d.ns, address, d.socket)
	<-d.done
	return err
}

// Conn is always nil: a UDP server has one socket for all.
func (d *Datagrams) Conn(int) *Conn { return nil }

// Close ends the server and waits for its goroutine. Closing twice is harmless.
func (d *Datagrams) Close() error {
	err := d.socket.Close()
	<-d.done
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
