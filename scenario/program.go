package scenario

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctsim/ctsim/probe"
	"github.com/ctsim/ctsim/probe/program"
	"github.com/ctsim/ctsim/topology"
)

// foreignClient and foreignServer tell whether a program that ctsim has not written stands in the place of its own.
func (s Scenario) foreignClient() bool { return s.World.Client.Exec != "" }
func (s Scenario) foreignServer() bool { return s.World.Server.Exec != "" }

// ready is how long the program may take to listen.
func (p Program) ready() time.Duration {
	if p.Ready == 0 {
		return time.Minute
	}
	return p.Ready
}

// programSysctls let a program that is not root listen on any port, as containerd does in a pod.
func (s Scenario) programSysctls() []topology.Sysctl {
	if !s.foreignClient() && !s.foreignServer() {
		return nil
	}
	return []topology.Sysctl{{Key: "net.ipv4.ip_unprivileged_port_start", Value: "0"}}
}

// hosts is what /etc/hosts of every pod says of the others: the service, the pods, the nodes.
func (s Scenario) hosts() []program.Host {
	svc := s.service()
	out := []program.Host{program.ServiceHost(svc.ClusterIP, svc.Name, svc.Namespace)}
	plan := s.topology()
	for _, h := range plan.Hosts {
		out = append(out, program.Host{Address: h.Address, Names: []string{h.Name}})
	}
	for _, n := range plan.Nodes {
		out = append(out, program.Host{Address: n.Address, Names: []string{n.Name}})
		for _, p := range n.Pods {
			out = append(out, program.Host{Address: p.Address, Names: []string{p.Name}})
		}
	}
	return out
}

// environment is what a program in a pod or on a node is told of the world. The names with the service's own in front
// are those that Kubernetes gives to every container.
func (s Scenario) environment(place string, address netip.Addr, p Program) []string {
	target := s.target()
	host, port := target.Addr().String(), strconv.Itoa(int(target.Port()))
	own := strings.ToUpper(strings.ReplaceAll(s.service().Name, "-", "_")) + "_SERVICE_"
	out := []string{
		"SERVICE=" + target.String(), "SERVICE_HOST=" + host, "SERVICE_PORT=" + port, "SERVICE_NAME=" + s.service().Name,
		own + "HOST=" + host, own + "PORT=" + port,
		"PORT=" + strconv.Itoa(int(s.service().Port)), "POD_NAME=" + place, "POD_IP=" + address.String(),
	}
	for key, value := range p.Env {
		out = append(out, key+"="+value)
	}
	slices.Sort(out[9:])
	return out
}

// checkPrograms reports what single fields cannot show of programs that ctsim has not written.
func (s Scenario) checkPrograms(p *checks) {
	for _, side := range []struct {
		field string
		p     Program
	}{{"world.client", s.World.Client}, {"world.server", s.World.Server}} {
		own := side.p
		if own.Exec == "" {
			if own.User != "" || len(own.Env) > 0 || own.Ready != 0 {
				p.add(side.field, "set "+side.field+".exec", "user, env and ready are for a program of your own")
			}
			continue
		}
		if strings.TrimSpace(own.Exec) == "" || strings.ContainsRune(own.Exec, 0) {
			p.add(side.field+".exec", "", "%q is no command", own.Exec)
		}
		for key := range own.Env {
			if key == "" || strings.ContainsAny(key, "=\x00") {
				p.add(side.field+".env", "", "%q is no name of a variable", key)
			}
		}
		if own.Keepalive != nil || own.UserTimeout != 0 {
			p.add(side.field, "", "keepalive and user_timeout are for ctsim's own program; %q sets its sockets by itself", own.Exec)
		}
		if s.protocol() == probe.UDP {
			p.add(side.field+".exec", "", "programs are followed over TCP, the service's protocol is UDP")
		}
		if s.TimeScale > 1 {
			p.add("time_scale", "", "a program's own clock cannot be made faster; want 1 with %s.exec", side.field)
		}
	}
	if s.foreignClient() && s.World.Connections != 1 {
		p.add("world.connections", "", "the program of world.client.exec opens as many connections as it likes")
	}
	if wrong := s.clientProblem(); wrong != "" {
		p.add("steps", "", "%s", wrong)
	}
}

// notForPrograms says why a step cannot be taken with the programs of this world; empty if it can.
func (s Scenario) notForPrograms(step Step) string {
	client := "a program of your own (world.client.exec) does this when it likes; use start-client, input and use"
	server := "a program of your own (world.server.exec) does this when it likes"
	from := func(side string) string {
		switch {
		case side == "server" && s.foreignServer():
			return server
		case side == "client" && s.foreignClient():
			return client
		case s.foreignClient():
			return "the server knows which connection is meant only from ctsim's own client"
		}
		return ""
	}
	switch a := step.action.(type) {
	case *startClientStep, *inputStep, *useStep:
		if !s.foreignClient() {
			return "this is for a program of your own; set world.client.exec"
		}
	case *connectStep, *receiveStep:
		return from("client")
	case *sendStep:
		return from(a.From)
	case *shutdownStep:
		return from(a.From)
	case *closeStep:
		return from(a.From)
	case *injectStep:
		if s.foreignClient() || s.foreignServer() {
			return "what to inject is known only of ctsim's own programs"
		}
	case *stopServerStep:
		if s.foreignServer() {
			return server
		}
	case *waitStep:
		switch {
		case a.Until == "client-closed" && s.foreignClient():
			return client
		case a.Until == "server-closed" && (s.foreignClient() || s.foreignServer()):
			return server
		}
	}
	return ""
}

// clientProblem says what is wrong with how the steps start the client's program: once, and before they use it.
func (s Scenario) clientProblem() string {
	if !s.foreignClient() {
		return ""
	}
	starts, atTop, early := 0, 0, false
	for _, step := range s.Steps {
		if _, ok := step.action.(*startClientStep); ok {
			atTop++
		}
	}
	s.Steps.walk(func(step Step) {
		switch step.action.(type) {
		case *startClientStep:
			starts++
		case *inputStep, *useStep:
			early = early || starts == 0
		}
	})
	switch {
	case starts == 0:
		return "no step starts the client's program; want start-client"
	case starts > 1 || atTop == 0:
		return "the client's program is started once; want one start-client, and not within a repeat"
	case early:
		return "the client's program is used before start-client"
	}
	return ""
}
