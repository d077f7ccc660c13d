// Package generate makes random scenarios out of the language: worlds, steps and timing. What it makes is text, as a user
// would write it, so that it goes through everything a file goes through. The same seed and number give the same text on any
// machine.
package generate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Case is a scenario in parts that can be taken away one by one. The zero value has no steps and is none.
type Case struct {
	Name string
	// World are the fields of the world, `backends: 2` for instance, Steps the steps, each in one line of YAML.
	World, Steps []string
	// Expect is the expectation, a mapping in one line.
	Expect string
}

// YAML is the case as a scenario file.
func (c Case) YAML() string {
	var b strings.Builder
	fmt.Fprintf(&b, "scenarios:\n  - name: %s\n    title: made at random\n    world: {%s}\n    steps:\n", c.Name, strings.Join(c.World, ", "))
	for _, s := range c.Steps {
		fmt.Fprintf(&b, "      - %s\n", s)
	}
	fmt.Fprintf(&b, "    expect: %s\n", c.Expect)
	return b.String()
}

// Smaller are the case with one part less each, the largest parts first.
func (c Case) Smaller() []Case {
	var out []Case
	for i := len(c.Steps) - 1; i >= 0; i-- {
		if len(c.Steps) > 1 {
			less := c
			less.Steps = slices.Delete(slices.Clone(c.Steps), i, i+1)
			out = append(out, less)
		}
	}
	for i := range c.World {
		less := c
		less.World = slices.Delete(slices.Clone(c.World), i, i+1)
		if strings.HasPrefix(c.World[i], "backends: ") && c.World[i] != "backends: 1" {
			less.World = append(less.World, "backends: 1")
		} else if strings.HasPrefix(c.World[i], "backends: ") {
			continue
		}
		out = append(out, less)
	}
	return out
}

// maker is one case while it is made.
type maker struct {
	*rand.Rand
	Case
	udp, one, killed, stopped, opened bool
	backends                          int
	// connections is how many there are once those of the world are open.
	connections int
}

// New is the n-th case of a seed.
func New(seed, n uint64) Case {
	m := &maker{Rand: rand.New(rand.NewPCG(seed, n))}
	m.Name = fmt.Sprintf("torture-%d-%d", seed, n)
	m.Case.Expect = "{outcome: survived}"
	m.world()
	m.steps()
	return m.Case
}

// chance is true in so many of a hundred cases.
func (m *maker) chance(percent int) bool { return m.IntN(100) < percent }

func (m *maker) option(percent int, choices ...string) {
	if m.chance(percent) {
		m.World = append(m.World, choices[m.IntN(len(choices))])
	}
}

func (m *maker) world() {
	m.backends = 1 + m.IntN(4)
	m.World = []string{fmt.Sprint("backends: ", m.backends)}
	m.option(15, "nodes: 3")
	m.connections = 1
	if m.chance(35) {
		m.connections = 2 + m.IntN(4)
		if m.chance(15) {
			m.connections = 12 + m.IntN(12)
		}
		m.World = append(m.World, fmt.Sprint("connections: ", m.connections))
	}
	m.one = m.connections == 1
	m.udp = m.chance(22)
	var service []string
	if m.udp {
		service = append(service, "protocol: UDP")
	}
	if m.chance(10) {
		service = append(service, "sessionAffinity: ClientIP")
	}
	switch m.IntN(10) {
	case 0:
		m.World = append(m.World, "client_at: node")
	case 1:
		m.World = append(m.World, "client_at: outside")
		service = append(service, "nodePort: 30222")
	}
	if len(service) > 0 {
		m.World = append(m.World, "service: {"+strings.Join(service, ", ")+"}")
	}
	m.option(18, "kube_proxy: {masquerade_all: true}", "kube_proxy: {no_invalid_drop: true}")
	m.option(22, `sysctls: {nodes: {net.netfilter.nf_conntrack_tcp_loose: "0"}}`,
		`sysctls: {nodes: {net.netfilter.nf_conntrack_tcp_be_liberal: "1"}}`,
		`sysctls: {nodes: {net.netfilter.nf_conntrack_udp_timeout: "1", net.netfilter.nf_conntrack_udp_timeout_stream: "1"}}`)
	if m.udp {
		return
	}
	m.option(12, "client: {keepalive: {idle: 1s, interval: 1s, count: 2}}", "client: {user_timeout: 700ms}")
	m.option(12, "server: {keepalive: {idle: 1s, interval: 1s, count: 2}}", "server: {user_timeout: 700ms}")
	m.option(12, "conntrack: {established: 1s}", "conntrack: {close_wait: 1s}", "conntrack: {established: 2s, close_wait: 1s}")
}

// steps opens the connections, perhaps after something has gone wrong, uses them, and does things to them.
func (m *maker) steps() {
	if m.chance(12) {
		m.add(m.early())
	}
	connect := "connect: {timeout: 1500ms}"
	if m.one && m.chance(15) {
		connect = "connect: {port: 40000, timeout: 1500ms}"
	}
	m.add(connect)
	m.opened = !m.killed && !m.stopped && len(m.Steps) == 1
	if m.chance(92) {
		m.add("send")
	}
	for range 1 + m.IntN(7) {
		m.add(m.step())
		if m.chance(35) {
			m.add("send")
		}
	}
	if m.chance(50) {
		m.add("send")
	}
	// What a kernel does on its own within a tenth of a second, a late acknowledgement above all, comes before the end.
	if last := m.Steps[len(m.Steps)-1]; last != "send" {
		m.add("wait: 250ms")
	}
}

func (m *maker) add(step string) {
	if step != "" {
		m.Steps = append(m.Steps, step)
	}
}

// early is what may be wrong before the first connection.
func (m *maker) early() string {
	switch m.IntN(4) {
	case 0:
		return "remove-endpoints: all"
	case 3:
		m.killed = true
		pod := m.pod()
		m.add("kill-pod: " + pod)
		return "take-address: " + pod
	case 1:
		m.stopped = true
		return "stop-servers"
	}
	return m.kill()
}

func (m *maker) pod() string { return fmt.Sprint("server-", 1+m.IntN(m.backends)) }

// kill takes a pod away, once in a case.
func (m *maker) kill() string {
	if m.killed {
		return ""
	}
	m.killed = true
	return "kill-pod: " + m.pod()
}

func (m *maker) side() string { return []string{"client", "server"}[m.IntN(2)] }

// step is one thing that happens.
func (m *maker) step() string {
	if m.udp {
		return m.datagram()
	}
	switch n := m.IntN(100); {
	case n < 18:
		return "send: {from: " + m.side() + "}"
	case n < 60:
		return m.tamper()
	case n < 66:
		return fmt.Sprintf("wait: %dms", 50+50*m.IntN(26))
	case n < 73:
		return "shutdown: " + m.side()
	case n < 82:
		return "close: " + m.side()
	case n < 86:
		return "receive: 150ms"
	case n < 91:
		return fmt.Sprintf("inject: {flag: RST, sequence_offset: %d}", []int{0, 1000, -1000}[m.IntN(3)])
	case n < 94:
		return fmt.Sprintf("inject: {sequence_offset: %d}", []int{-1000, 100000, 50331648}[m.IntN(3)])
	case n < 97:
		return fmt.Sprintf("send: {connection: %d}", 1+m.IntN(m.connections))
	}
	m.connections++
	return "connect: {more: true, timeout: 1500ms}"
}

func (m *maker) datagram() string {
	switch n := m.IntN(100); {
	case n < 20:
		return "send"
	case n < 80:
		return m.tamper()
	case n < 90:
		return fmt.Sprintf("wait: %dms", 50+50*m.IntN(40))
	}
	return fmt.Sprintf("send: {connection: %d}", 1+m.IntN(m.connections))
}

// tamper is something done to entries, endpoints or pods.
func (m *maker) tamper() string {
	switch m.IntN(14) {
	case 0, 1, 2, 3:
		return "flush"
	case 4:
		return "flush: " + []string{"master", "node1"}[m.IntN(2)]
	case 5:
		return fmt.Sprint("delete-entry: ", 1+m.IntN(m.connections))
	case 6:
		return "age: " + []string{"10s", "24h", "300h"}[m.IntN(3)]
	case 7:
		return "remove-endpoints: " + []string{"all", m.pod()}[m.IntN(2)]
	case 8:
		return "add-endpoints"
	case 9, 10:
		return m.kill()
	case 11:
		return "delete-stale"
	case 12:
		return fmt.Sprintf("repeat: {times: %d, steps: [flush, send]}", 2+m.IntN(3))
	}
	if m.stopped {
		return ""
	}
	m.stopped = true
	return "stop-servers"
}
