package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/scenario"
)

// kernelText takes an event of the kernel apart: what it says, and the few functions that tell the story, outermost
// first.
func kernelText(text string) (what string, story []string) {
	what, functions, found := strings.Cut(text, "  ")
	if !found {
		return strings.TrimSpace(text), nil
	}
	return what, strings.Split(strings.TrimSpace(functions), " → ")
}

// stack is the functions behind an event, those of its story strong.
func stack(o scenario.Observation) []detailLine {
	_, story := kernelText(o.Text)
	var out []detailLine
	for _, function := range o.Detail {
		name, _, _ := strings.Cut(function, ".") // what the compiler has split
		out = append(out, detailLine{Text: function, Strong: slices.Contains(story, name)})
	}
	return out
}

// kernelEvent is what the kernel said, with how often it said so.
type kernelEvent struct {
	Time, At, Kind, What string
	Story                []string
	Stack                []detailLine
	Times                int
}

// kernelEvents are those of the example, the same ones counted.
func kernelEvents(story []scenario.Observation) []kernelEvent {
	var out []kernelEvent
	index := map[string]int{}
	for _, o := range story {
		if o.Source != "kernel" {
			continue
		}
		key := fmt.Sprint(o.At, o.Kind, o.Text)
		if i, again := index[key]; again {
			out[i].Times++
			continue
		}
		index[key] = len(out)
		what, functions := kernelText(o.Text)
		out = append(out, kernelEvent{Time: stamp(o.T), At: o.At, Kind: o.Kind, What: strings.TrimPrefix(what, o.Kind+" "),
			Story: functions, Stack: stack(o), Times: 1})
	}
	return out
}

// socketLook is one look at a socket.
type socketLook struct {
	Time, At string
	*scenario.SocketFacts
	// Changed is true if the state, the timer's kind or a queue is not what it was.
	Changed bool
}

// socketLooks are the looks at which a socket had changed, and the last at each; left is how many others there were.
func socketLooks(story []scenario.Observation) (out []socketLook, left int) {
	last, state := map[string]int{}, map[string]string{}
	for i, o := range story {
		if o.Socket != nil {
			last[o.At] = i
		}
	}
	for i, o := range story {
		if o.Socket == nil {
			continue
		}
		now := socketState(o)
		if state[o.At] == now && last[o.At] != i || len(out) >= maxRows {
			left++
			continue
		}
		before, known := state[o.At]
		out = append(out, socketLook{Time: stamp(o.T), At: o.At, SocketFacts: o.Socket, Changed: known && before != now})
		state[o.At] = now
	}
	return out, left
}
