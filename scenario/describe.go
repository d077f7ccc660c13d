package scenario

import (
	"fmt"
	"strings"
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
	section("Must be seen", strings.Join(s.Expect.lines(), "\n"))
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
		fmt.Sprintf("service %s  %s:%d/TCP", svc, svc.ClusterIP, svc.Port),
		"",
		"client 172.18.219.65 ── master 192.168.122.20 ══ node1 192.168.122.21 ─┬─ server-1 " + serverAddress(0).String(),
	}
	const gap = 70
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
		lines = append(lines, fmt.Sprintf("%s%s%s %s", strings.Repeat(" ", gap), branch, serverName(i), serverAddress(i)))
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
		fmt.Sprintf("nf_conntrack_tcp_timeout_established = %.0f s on the nodes", w.Conntrack.Established.Seconds()),
		"client: " + w.Client.describe() + "; servers: " + w.Server.describe(),
	}
	if w.Service.SessionAffinity != "None" {
		out = append(out, "sessionAffinity: "+w.Service.SessionAffinity)
	}
	if w.Service.MasqueradeAll {
		out = append(out, "kube-proxy --masquerade-all")
	}
	for _, place := range s.places() {
		for _, sysctl := range s.sysctls(place) {
			out = append(out, fmt.Sprintf("%s = %s in %s", sysctl.Key, sysctl.Value, place))
		}
	}
	return out
}

func (p Program) describe() string {
	text := "keepalive off"
	if k := p.Keepalive; k != nil {
		text = "keepalive on"
		for _, t := range []struct {
			name string
			set  bool
			text string
		}{{"idle", k.Idle > 0, k.Idle.String()}, {"interval", k.Interval > 0, k.Interval.String()},
			{"count", k.Count > 0, fmt.Sprint(k.Count)}} {
			if t.set {
				text += ", " + t.name + " " + t.text
			} else {
				text += ", " + t.name + " as the sysctl says"
			}
		}
	}
	if p.UserTimeout > 0 {
		text += ", TCP_USER_TIMEOUT " + p.UserTimeout.String()
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
func (x Expect) lines() []string {
	var out []string
	for _, c := range x.checks(&evidence{}, nil) {
		out = append(out, c.Text)
	}
	return out
}
