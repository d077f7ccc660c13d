package scenario

import (
	"fmt"
	"strings"
	"time"

	"github.com/ctsim/ctsim/internal/printable"
)

// Describe explains the plan in words and draws its world, for `ctsim show`.
func (p *Plan) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  %s\n", p.Scenario, p.Title)
	section := func(title, text string) {
		if text != "" {
			fmt.Fprintf(&b, "\n%s\n  %s\n", title, strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  "))
		}
	}
	section("World", p.Drawing().String())
	section("Settings", strings.Join(p.Settings, "\n"))
	section("Steps", strings.Join(p.Steps.lines(""), "\n"))
	section("Must be seen", strings.Join(p.Expect.lines(len(p.Servers)), "\n"))
	section("Cause", p.Cause)
	section("What to look for", p.See)
	section("Cure", p.Cure)
	section("Source", p.Source)
	return b.String()
}

// settings is what is out of the ordinary, one line each.
func (s Scenario) settings() []string {
	w := s.World
	out := []string{
		fmt.Sprintf("%d connection(s), %d backend(s)", w.Connections, w.Backends),
		"nf_conntrack_tcp_timeout_established = " + s.both(s.timeout(clockNamed(established)), time.Second) + " on the nodes",
		"client: " + s.program(w.Client) + "; servers: " + s.program(w.Server),
	}
	if w.Service.SessionAffinity != "None" {
		out = append(out, "sessionAffinity: "+w.Service.SessionAffinity)
	}
	if w.Nodes > 2 {
		out = append(out, fmt.Sprintf("%s, joined by a switch; the server pods are dealt out to all but master",
			strings.Join(s.nodeNames(), ", ")))
	}
	if name, addr := s.client(); name != PodClient {
		out = append(out, fmt.Sprintf("the client runs on %s, %s, and connects to %s", name, addr, s.target()))
	}
	if w.KubeProxy.MasqueradeAll {
		out = append(out, "kube-proxy --masquerade-all")
	}
	if w.KubeProxy.NoInvalidDrop {
		out = append(out, "kube-proxy without the rule that drops INVALID packets")
	}
	if s.TimeScale > 1 {
		out = append(out, fmt.Sprintf("time_scale %d: a production hour takes %s", s.TimeScale,
			(time.Hour/time.Duration(s.TimeScale)).Round(time.Millisecond)))
	}
	for _, place := range s.places() {
		for _, sysctl := range s.sysctls(place) {
			out = append(out, fmt.Sprintf("%s = %s in %s", sysctl.Key, sysctl.Value, place))
		}
	}
	return out
}

func (s Scenario) program(p Program) string {
	if p.Exec != "" {
		text := "`" + strings.Join(strings.Fields(printable.Line(p.Exec)), " ") + "`"
		if p.User != "" {
			text += " as user " + p.User
		}
		return text
	}
	text := "keepalive off"
	if k := p.Keepalive; k != nil {
		text = "keepalive on"
		for _, t := range []struct {
			name string
			set  bool
			text string
		}{{"idle", k.Idle > 0, s.both(k.Idle, time.Second)}, {"interval", k.Interval > 0, s.both(k.Interval, time.Second)},
			{"count", k.Count > 0, fmt.Sprint(k.Count)}} {
			if t.set {
				text += ", " + t.name + " " + t.text
			} else {
				text += ", " + t.name + " as the sysctl says"
			}
		}
	}
	if p.UserTimeout > 0 {
		text += ", TCP_USER_TIMEOUT " + s.both(p.UserTimeout, time.Millisecond)
	}
	return text
}

func (steps Steps) lines(indent string) []string {
	var out []string
	for i, s := range steps {
		out = append(out, fmt.Sprintf("%s%d. %s", indent, i+1, s.Describe()))
		if r, ok := s.Verb.(*Repeat); ok {
			out = append(out, r.Steps.lines(indent+"   ")...)
		}
	}
	return out
}

// lines are the expectations in words: the texts that the verdict uses.
func (x Expect) lines(backends int) []string {
	var out []string
	for _, a := range x.Atoms() {
		out = append(out, x.Text(a, backends))
	}
	return out
}
