package scenario

import (
	"fmt"
	"strings"
	"time"
)

// Describe explains the scenario in words and draws its world, for `ctsim show`.
func (s Scenario) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  %s\n", s.Name, s.Title)
	section := func(title, text string) {
		if text != "" {
			fmt.Fprintf(&b, "\n%s\n  %s\n", title, strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  "))
		}
	}
	section("World", s.drawing())
	section("Settings", strings.Join(s.settings(), "\n"))
	section("Steps", strings.Join(s.Steps.lines(""), "\n"))
	section("Must be seen", strings.Join(s.Expect.lines(s.World.Backends), "\n"))
	section("Cause", s.Cause)
	section("What to look for", s.See)
	section("Cure", s.Cure)
	section("Source", s.Source)
	return b.String()
}

// drawing is the article's picture with this scenario's numbers.
func (s Scenario) drawing() string {
	n := s.World.Backends
	svc := s.service()
	lines := []string{
		fmt.Sprintf("service %s  %s:%d/%s", svc, svc.ClusterIP, svc.Port, s.World.Service.Protocol),
		"",
		"client 172.18.219.65 ── master 192.168.122.20 ══ node1 192.168.122.21 ─┬─ server-1 " + s.serverAddress(0).String(),
	}
	const gap = 71 // the branches stand below the first one's
	for i := 1; i < n; i++ {
		if n > 4 && i == 2 {
			lines = append(lines, strings.Repeat(" ", gap)+"┆")
			continue
		}
		if n > 4 && i > 2 && i < n-1 {
			continue
		}
		branch := "├─ "
		if i == n-1 {
			branch = "└─ "
		}
		lines = append(lines, fmt.Sprintf("%s%s%s %s", strings.Repeat(" ", gap), branch, serverName(i), s.serverAddress(i)))
	}
	if n == 1 {
		lines[2] = strings.Replace(lines[2], "─┬─", "───", 1)
	}
	return strings.Join(lines, "\n")
}

func (s Scenario) settings() []string {
	w := s.World
	out := []string{
		fmt.Sprintf("%d connection(s), %d backend(s)", w.Connections, w.Backends),
		"nf_conntrack_tcp_timeout_established = " + s.both(w.Conntrack.Established, time.Second) + " on the nodes",
		"client: " + s.program(w.Client) + "; servers: " + s.program(w.Server),
	}
	if w.Service.SessionAffinity != "None" {
		out = append(out, "sessionAffinity: "+w.Service.SessionAffinity)
	}
	if w.Nodes > 2 {
		out = append(out, fmt.Sprintf("%s, joined by a switch; the server pods are dealt out to all but master",
			strings.Join(s.nodeNames(), ", ")))
	}
	if name, addr := s.client(); name != podClient {
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
		text := "`" + strings.Join(strings.Fields(p.Exec), " ") + "`"
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
		if r, ok := s.action.(*repeatStep); ok {
			out = append(out, r.Steps.lines(indent+"   ")...)
		}
	}
	return out
}

// lines are the expectations in words: the texts that the verdict uses.
func (x Expect) lines(backends int) []string {
	var out []string
	for _, c := range checksOf(x, &evidence{}, nil, backends) {
		out = append(out, c.Text)
	}
	return out
}
