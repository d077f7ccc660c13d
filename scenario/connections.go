package scenario

// The connections a step may name: those of world.connections, and one more for each `connect: {more: true}` that has
// run. What a step does to a connection that cannot be there would be nothing, and nobody would notice.

// maxConnections is the highest number that a connection may have.
const maxConnections = 4000

// names is an action that is about one connection.
type names interface {
	// connection is the number of the connection, 0 for all.
	connection() int
}

func (s *Send) connection() int        { return s.Connection }
func (s *DeleteEntry) connection() int { return s.Connection }

// opened calls f for every step with the number of connections that there are at most when it runs, in its last round
// if it is repeated. Before is how many there are at the start; it gives how many there are at most in the end.
func (steps Steps) opened(before int, f func(Step, int)) int {
	for _, step := range steps {
		f(step, before)
		if r, ok := step.Verb.(*Repeat); ok {
			before = r.Steps.opened(min(before+r.Steps.more()*(r.Rounds()-1), maxConnections), f)
		} else {
			before = min(before+step.more(), maxConnections)
		}
	}
	return before
}

// more is how many connections the steps open at most, beyond those of world.connections.
func (steps Steps) more() int {
	n := 0
	for _, step := range steps {
		n = min(n+step.more(), maxConnections)
	}
	return n
}

func (s Step) more() int {
	switch a := s.Verb.(type) {
	case *Connect:
		if a.More {
			return 1
		}
	case *Repeat:
		return a.Rounds() * a.Steps.more()
	}
	return 0
}
