// Package trial takes a scenario, runs it, and holds what ctsim says of it against the oracle's opinion.
package trial

import (
	"errors"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/probe/peer"
	"github.com/ctsim/ctsim/torture/oracle"
)

// harmless are the deeds that do nothing to the world: they open connections, speak on them, end them in order, or wait.
var harmless = []string{"connect", "send", "receive", "shutdown", "close", "wait", "repeat"}

var errno = regexp.MustCompile(`^E[A-Z0-9]+$`)

// factsOf is what the oracle is told of a run: packets, sockets, and when something was done.
func factsOf(e *evidence.Evidence) *oracle.Facts {
	f := &oracle.Facts{Client: e.ClientAt, ClientForwards: slices.Contains(e.Nodes, e.ClientAt), Service: e.Service, Packets: e.Packets}
	for _, p := range e.Places {
		if p.Role == "server" {
			f.Servers = append(f.Servers, p.Name)
			if !e.IsPod(p.Name) {
				f.Strangers = append(f.Strangers, p.Name)
			}
		}
	}
	f.UDP = e.UDP
	for _, c := range e.Flows {
		f.Connections = append(f.Connections, oracle.Connection{ID: c.ID, Local: c.Local, Since: c.Since})
	}
	for _, l := range e.Last {
		f.Sockets = append(f.Sockets, oracle.Socket{Connection: l.Flow, OfClient: l.Side == peer.Client, State: l.State, SendQueue: l.SendQueue})
	}
	type end struct {
		connection int
		side       peer.Side
	}
	ended, index := map[end]bool{}, e.Index()
	for i := range e.Reports {
		r := &e.Reports[i]
		id := index.Report(r) // a server that has not read yet does not know the number
		if r.Call == peer.Shutdown && r.Err == nil {
			ended[end{id, r.Side}] = true
		}
		// Who writes to a stream that he has ended himself gets EPIPE whatever has become of the connection, and who ends it
		// again ENOTCONN.
		own := ended[end{id, r.Side}]
		if one, ok := errorOf(r, id); ok && !(own && (one.Errno == "EPIPE" || one.Errno == "ENOTCONN")) {
			f.Errors = append(f.Errors, one)
		}
	}
	f.Disturbed = disturbances(e)
	return f
}

// errorOf is the error that a socket gave to a call; false if it gave none, or the program had closed it itself.
func errorOf(r *peer.Report, id int) (oracle.Error, bool) {
	name := peer.Errno(r.Err)
	if r.Err == nil || id == 0 || !errno.MatchString(name) || errors.Is(r.Err, net.ErrClosed) || name == "EOPNOTSUPP" {
		return oracle.Error{}, false
	}
	return oracle.Error{Connection: id, OfClient: r.Side == peer.Client, Time: r.Time, Errno: name,
		Connecting: r.Call == peer.Connect, Deadline: r.Call == peer.Recv && errors.Is(r.Err, os.ErrDeadlineExceeded)}, true
}

// killed is the pod that a step took away, empty if it did not.
func killed(e *evidence.Evidence, d *evidence.Deed) string {
	i := slices.IndexFunc(e.Places, func(p evidence.Place) bool {
		return d.Kind == "kill-pod" && strings.HasPrefix(d.Text, "pod "+p.Name+" ")
	})
	if i < 0 {
		return ""
	}
	return e.Places[i].Name
}

// disturbances are the deeds, and the ends of entries on the client's node that no packet has caused.
func disturbances(e *evidence.Evidence) []oracle.Disturbance {
	var out []oracle.Disturbance
	var aged []time.Time
	for _, d := range e.Deeds {
		if d.At == "step" && !slices.Contains(harmless, d.Kind) {
			out = append(out, oracle.Disturbance{Time: d.Time, PodGone: killed(e, &d)})
		}
		if d.Kind == "age" {
			aged = append(aged, d.Time)
		}
	}
	for _, ev := range e.Events {
		by := ev.DestroyedBy()
		if !e.Translates(ev.Node) || by != conntrack.Caller && by != conntrack.Expired {
			continue
		}
		// An expiry is told late, unless ctsim has looked the entry up itself.
		prompt := by == conntrack.Caller || slices.ContainsFunc(aged, func(t time.Time) bool {
			return !ev.Time.Before(t) && ev.Time.Sub(t) < time.Second
		})
		for _, c := range slices.Backward(e.Flows) {
			if ev.Original.Src == c.Local && !ev.Time.Before(c.Since) {
				out = append(out, oracle.Disturbance{Time: ev.Time, Entries: prompt, Connection: c.ID})
				break
			}
		}
	}
	return out
}
