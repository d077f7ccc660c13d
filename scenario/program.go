package scenario

import (
	"strings"
)

// externalClient and externalServer tell whether a program that ctsim has not written stands in the place of its own.
func (s Scenario) externalClient() bool { return s.World.Client.Exec != "" }
func (s Scenario) externalServer() bool { return s.World.Server.Exec != "" }

// programSysctls let a program that is not root listen on any port, as containerd does in a pod.
func (s Scenario) programSysctls() []Sysctl {
	if !s.externalClient() && !s.externalServer() {
		return nil
	}
	return []Sysctl{{Key: "net.ipv4.ip_unprivileged_port_start", Value: "0"}}
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
		if s.World.Service.Protocol == "UDP" {
			p.add(side.field+".exec", "", "programs are followed over TCP, the service's protocol is UDP")
		}
		if s.TimeScale > 1 {
			p.add("time_scale", "", "a program's own clock cannot be made faster; want 1 with %s.exec", side.field)
		}
	}
	if s.externalClient() && s.World.Connections != 1 {
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
		case side == "server" && s.externalServer():
			return server
		case side == "client" && s.externalClient():
			return client
		case s.externalClient():
			return "the server knows which connection is meant only from ctsim's own client"
		}
		return ""
	}
	switch a := step.Verb.(type) {
	case *StartClient, *Input, *Use:
		if !s.externalClient() {
			return "this is for a program of your own; set world.client.exec"
		}
	case *Connect, *Receive:
		return from("client")
	case *Send:
		return from(a.From)
	case *Shutdown:
		return from(a.From)
	case *Close:
		return from(a.From)
	case *Inject:
		if s.externalClient() || s.externalServer() {
			return "what to inject is known only of ctsim's own programs"
		}
	case *StopServers:
		if s.externalServer() {
			return server
		}
	case *Wait:
		switch {
		case a.Until == "client-closed" && s.externalClient():
			return client
		case a.Until == "server-closed" && (s.externalClient() || s.externalServer()):
			return server
		}
	}
	return ""
}

// clientProblem says what is wrong with how the steps start the client's program: once, and before they use it.
func (s Scenario) clientProblem() string {
	if !s.externalClient() {
		return ""
	}
	starts, atTop, early := 0, 0, false
	for _, step := range s.Steps {
		if _, ok := step.Verb.(*StartClient); ok {
			atTop++
		}
	}
	s.Steps.Walk(func(step Step) {
		switch step.Verb.(type) {
		case *StartClient:
			starts++
		case *Input, *Use:
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
