// Package byhand says a scenario in what a person would type: a step as commands at a prompt ([Commands]), a whole
// scenario as a shell script ([Script]) that needs no ctsim. Both come from one table with a row for every verb. It is
// pure: it runs nothing, and what the commands depend on is handed to it as a [Moment].
package byhand

import (
	"slices"
	"strings"

	"github.com/ctsim/ctsim/scenario"
)

// Command is what a person types to do what a step does.
type Command struct {
	// At is the pod or node it is typed in.
	At string
	// Line is a shell command. With Into it is what is typed into a program that runs there, `ctsim client` for instance.
	Line string
	Into string
}

// verb is how one verb is done by hand.
type verb struct {
	// commands are what a person types at a moment; without them nothing is typed.
	commands func(scenario.Step, Moment) []Command
	// script writes the step as shell; without it there is no shell that does it.
	script func(scenario.Step, *scriptWriter) error
	// breaks is true if it may break connections: only what is sent after it tells whether it has.
	breaks bool
	// skippable is true if the run can leave the step out because somebody has done it by hand. It is false for what makes
	// things that later steps need, sockets for instance: nobody can make those for the run.
	skippable bool
}

// verbs has a row for every verb, under the name it has in the language. A test fails for one that has none.
var verbs = map[string]verb{
	"connect":          apart(connectCommands, scriptConnect),
	"send":             apart(sendCommands, scriptSend),
	"receive":          both(receiveAct),
	"shutdown":         both(shutdownAct),
	"close":            both(closeAct),
	"inject":           breaking(both(injectAct)),
	"start-client":     apart(startClientCommands, nil),
	"input":            apart(inputCommands, nil),
	"use":              apart(useCommands, nil),
	"flush":            breaking(skippable(both(flushAct))),
	"delete-entry":     breaking(skippable(apart(deleteEntryCommands, scriptDeleteEntry))),
	"delete-stale":     breaking(skippable(apart(deleteStaleCommands, scriptDeleteStale))),
	"age":              skippable(apart(ageCommands, scriptAge)),
	"wait":             skippable(apart(waitCommands, scriptWait)),
	"sysctl":           breaking(skippable(both(sysctlAct))),
	"exec":             skippable(apart(execCommands, scriptExec)),
	"repeat":           apart(nil, scriptRepeat),
	"remove-endpoints": breaking(apart(removeEndpointsCommands, scriptRemoveEndpoints)),
	"add-endpoints":    breaking(apart(addEndpointsCommands, scriptAddEndpoints)),
	"stop-servers":     breaking(apart(stopServersCommands, scriptStopServers)),
	"kill-pod":         breaking(apart(killPodCommands, scriptKillPod)),
	"take-address":     breaking(apart(nil, scriptTakeAddress)),
}

// both is the row of a verb that is the same in both: one act, which does not depend on how far the run has come.
func both[S any](of func(S) act) verb {
	return apart(func(s S, m Moment) []Command { return m.commands(of(s)) },
		func(s S, w *scriptWriter) error {
			w.act(of(s))
			return nil
		})
}

// apart is the row of a verb whose script says more than a person types, or other things: it waits with a deadline, finds
// out which pod or port is meant, keeps account of what it has changed. What the two have in common is one act or one line
// that both call for.
func apart[S any](commands func(S, Moment) []Command, script func(S, *scriptWriter) error) verb {
	var r verb
	if commands != nil {
		r.commands = func(step scenario.Step, m Moment) []Command { return commands(any(step.Verb).(S), m) }
	}
	if script != nil {
		r.script = func(step scenario.Step, w *scriptWriter) error { return script(any(step.Verb).(S), w) }
	}
	return r
}

func breaking(r verb) verb {
	r.breaks = true
	return r
}

func skippable(r verb) verb {
	r.skippable = true
	return r
}

// Commands are what a person would type to do what a step does; nil if nothing would be typed.
func Commands(step scenario.Step, m Moment) []Command {
	if r := verbs[step.Name]; r.commands != nil {
		return r.commands(step, m)
	}
	return nil
}

// Skippable tells whether a run can leave a step out because somebody has done by hand what it does.
func Skippable(step scenario.Step) bool { return verbs[step.Name].skippable }

// act is something done by hand, for the prompt of --step and for a script.
type act struct {
	// at is the pod or node where line is a shell command: by its name, or "all", every node, or "serving", the pod that the
	// first connection leads to.
	at, line string
	// into is the end, "client" or "server", into whose program line is typed, instead of at.
	into string
	// script is how a script says it of a place, if that is not line in the place: by one of its functions, most often.
	script func(place string) string
}

// calls is for an act that is a function of the script's library, which takes the place and the arguments.
func calls(function string, arguments ...string) func(string) string {
	return func(place string) string {
		return strings.Join(append([]string{function, place}, arguments...), " ")
	}
}

// commands are an act as it is typed: into every server, if it is not known which one serves. There are none if it is not
// known where, or if no program would read them: over UDP `ctsim server` has no --speak.
func (m Moment) commands(a act) []Command {
	at, into := []string{a.at}, ""
	switch {
	case a.into == "client":
		at, into = []string{m.Plan.Client.At}, "ctsim client"
	case a.into == "server" && m.Plan.UDP():
		return nil
	case a.into == "server":
		at, into = m.Pods, "ctsim server --speak"
		if m.Serving != "" {
			at = slices.DeleteFunc(slices.Clone(at), func(pod string) bool { return pod != m.Serving })
		}
	case a.at == "all":
		at = m.Plan.NodeNames()
	case a.at == "serving" && m.Serving == "":
		return nil
	case a.at == "serving":
		at = []string{m.Serving}
	}
	var out []Command
	for _, place := range at {
		out = append(out, Command{At: place, Line: a.line, Into: into})
	}
	return out
}

// act writes an act into the script.
func (w *scriptWriter) act(a act) {
	if a.script == nil {
		a.script = func(place string) string { return "ip netns exec " + place + " " + a.line }
	}
	switch {
	case a.into == "server":
		w.line("server_does %s", ShellQuote(a.line))
	case a.into != "":
		for _, c := range w.clients {
			w.line("tell client-%d %s", c, ShellQuote(a.line))
		}
	case a.at == "all":
		w.line("for node in $nodes; do %s; done", a.script(`"$node"`))
	case a.at == "serving":
		w.line("%s", a.script(`"$(serving)"`))
	default:
		w.line("%s", a.script(a.at))
	}
}

// shellWords is a command of a POSIX shell.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = ShellQuote(word)
	}
	return strings.Join(quoted, " ")
}
