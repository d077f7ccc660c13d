package byhand

import "slices"

// endpointState is which servers are endpoints and which are alive, by number, at one point of a script. Which one
// "serves" is known only when the script runs, so that there may be several at one point.
type endpointState struct{ endpoints, alive []int }

func (w *scriptWriter) firstState() endpointState {
	var all []int
	for i := range w.plan.Servers {
		all = append(all, i)
	}
	first := endpointState{all, all}
	w.variants = append(w.variants, first)
	return first
}

// maxStates is how many sets of endpoints and pods a script reckons with: each step that changes one of many would make as
// many times more of them.
const maxStates = 1000

// change applies a change to each state there may be, with each server that a name may mean, and remembers the new sets
// of endpoints.
func (w *scriptWriter) change(name string, to change) {
	var next []endpointState
	for _, s := range w.states {
		for _, i := range w.anyOf(name) {
			n := to(s, i)
			if !slices.ContainsFunc(next, func(o endpointState) bool {
				return slices.Equal(o.endpoints, n.endpoints) && slices.Equal(o.alive, n.alive)
			}) {
				next = append(next, n)
			}
			if w.crowded = len(next) > maxStates; w.crowded {
				return // the script is not written
			}
		}
	}
	w.states = next
	for _, n := range next {
		if !slices.ContainsFunc(w.variants, func(o endpointState) bool { return slices.Equal(o.endpoints, n.endpoints) }) {
			w.variants = append(w.variants, n)
		}
	}
}

func leaving(list []int, i int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(j int) bool { return j == i })
}

// anyOf are the servers a name may mean: one, or for "serving" and "all" every one.
func (w *scriptWriter) anyOf(name string) []int {
	if i := slices.Index(w.plan.ServerNames(), name); i >= 0 {
		return []int{i}
	}
	return w.variants[0].endpoints
}
