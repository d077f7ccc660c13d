package scenario

// What one scenario may have. A few steps are a page of a file; what is far beyond that is no case that somebody wants to
// see, and takes memory in everything that is made of it: a plan, a script, a timeline.
const (
	maxSteps        = 1000
	maxTaken        = 100_000
	maxAlternatives = 20
)

// bounded reports what is too much, and tells whether nothing is.
func (s Scenario) bounded(p *checks) bool {
	n := 0
	s.Steps.Walk(func(Step) { n++ })
	switch taken, alternatives := s.Steps.taken(), s.Expect.alternatives(); {
	case n > maxSteps:
		p.add("steps", "", "%d steps, want at most %d", n, maxSteps)
	case taken > maxTaken:
		p.add("steps", "", "with all rounds of the repeats, more than %d steps would be taken", maxTaken)
	case alternatives > maxAlternatives:
		p.add("expect.alternatives", "", "%d alternatives, want at most %d", alternatives, maxAlternatives)
	default:
		return true
	}
	return false
}

// taken is how many steps are taken at most, with all rounds of every repeat; no more than one beyond what may be.
func (steps Steps) taken() int {
	n := 0
	for _, step := range steps {
		n++
		if r, ok := step.Verb.(*Repeat); ok {
			n += min(r.Rounds()*r.Steps.taken(), maxTaken+1)
		}
		n = min(n, maxTaken+1)
	}
	return n
}

// alternatives is how many there are, those of alternatives too.
func (x Expect) alternatives() int {
	n := len(x.Alternatives)
	for _, a := range x.Alternatives {
		n += a.Expect.alternatives()
	}
	return n
}
