package report

import (
	"cmp"
	"fmt"

	"github.com/ctsim/ctsim/evidence"
)

// stack is the functions behind an event, those that tell what happened strong.
func stack(k *evidence.KernelFacts) []detailLine {
	var out []detailLine
	for _, f := range k.Stack {
		out = append(out, detailLine{Text: f.Function, Strong: f.Telling})
	}
	return out
}

// kernelEvent is what the kernel said, with how often it said so.
type kernelEvent struct {
	Time, At, Kind, What string
	Functions            []string
	Stack                []detailLine
	Times                int
}

// kernelEvents are those of the example, the same ones counted.
func kernelEvents(seen []evidence.Observation) []kernelEvent {
	var out []kernelEvent
	index := map[string]int{}
	for _, o := range seen {
		k := o.KernelEvent
		if k == nil {
			continue
		}
		what := kernelWhat(k)
		key := fmt.Sprint(o.At, o.Kind, what, k.Functions)
		if i, again := index[key]; again {
			out[i].Times++
			continue
		}
		index[key] = len(out)
		out = append(out, kernelEvent{Time: stamp(o.T), At: o.At, Kind: o.Kind, What: cmp.Or(what, o.Kind), Functions: k.Functions,
			Stack: stack(k), Times: 1})
	}
	return out
}

// socketSample is a socket at one moment.
type socketSample struct {
	Time, At string
	*evidence.SocketFacts
	// Changed is true if the state, the timer's kind or a queue is not what it was.
	Changed bool
}

// socketSamples are those at which a socket had changed, and the last at each; left is how many others there were.
func socketSamples(seen []evidence.Observation) (out []socketSample, left int) {
	last, state := map[string]int{}, map[string]string{}
	for i, o := range seen {
		if o.Socket != nil {
			last[o.At] = i
		}
	}
	for i, o := range seen {
		if o.Socket == nil {
			continue
		}
		now := socketState(o)
		if state[o.At] == now && last[o.At] != i || len(out) >= maxRows {
			left++
			continue
		}
		before, known := state[o.At]
		out = append(out, socketSample{Time: stamp(o.T), At: o.At, SocketFacts: o.Socket, Changed: known && before != now})
		state[o.At] = now
	}
	return out, left
}
