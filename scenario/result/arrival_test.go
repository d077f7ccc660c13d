package result_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/probe/conntrack"
	"github.com/ctsim/ctsim/scenario/builtin"
	"github.com/ctsim/ctsim/scenario/result"
	"github.com/ctsim/ctsim/scenario/result/resulttest"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// late makes evidence what a kernel before 6.14 gives: events carry no time, and ctsim reads each up to most later, in
// order. When an entry was made a look-up tells, or its DESTROY.
func late(e *evidence.Evidence, most time.Duration, random *rand.Rand) {
	read := map[string]time.Time{}
	for i := range e.Events {
		ev := &e.Events[i]
		if ev.Type == conntrack.New {
			ev.Start = ev.Time
		}
		at := ev.Time.Add(time.Duration(random.Int64N(int64(most))))
		if at.Before(read[ev.Node]) {
			at = read[ev.Node]
		}
		read[ev.Node], ev.Time, ev.KernelTime = at, at, false
	}
}

// story is what a result tells, without the times.
func story(r *result.Result) []string {
	var texts []string
	for _, s := range r.Account {
		texts = append(texts, s.Text)
	}
	return texts
}

// TestStoriesWithoutTheKernelsTime: the stories of real runs are told in the same order when events carry no time and come
// late, as on kernels before 6.14: no effect before its cause. That it takes TimeEvents is shown by leaving it out.
func TestStoriesWithoutTheKernelsTime(t *testing.T) {
	differ := 0
	for _, name := range recorded.Names {
		plan := builtin.Plan(t, builtin.Find(t, name))
		want := story(result.New(plan, recorded.Of(t, name)))
		for seed := range uint64(20) {
			random := rand.New(rand.NewPCG(seed, 1))
			e := recorded.Of(t, name)
			late(e, 3*time.Millisecond, random)
			if cmp.Diff(want, story(result.New(plan, e))) != "" {
				differ++
			}
			e = recorded.Of(t, name)
			late(e, 3*time.Millisecond, random)
			e.TimeEvents()
			r := result.New(plan, e)
			if diff := cmp.Diff(want, story(r)); diff != "" || r.Verdict != verdict.Pass {
				t.Errorf("%s, seed %d: %s -with the kernel's times +without:\n%s", name, seed, r.Verdict, diff)
				break
			}
		}
	}
	if differ == 0 {
		t.Error("events that come late change no story: this shows nothing")
	}
	t.Logf("%d stories are told wrongly by the times of arrival", differ)
}

// mute makes evidence what a kernel before 5.12 gives: a DESTROY carries neither the time left nor the TCP state.
func mute(e *evidence.Evidence) {
	for i := range e.Events {
		if ev := &e.Events[i]; ev.Type == conntrack.Destroy {
			ev.HasTimeout, ev.Timeout, ev.HasTCP, ev.TCP = false, 0, false, conntrack.TCPNone
		}
	}
}

// TestDestroysThatDoNotTell: where the kernel does not tell how an entry ended, nothing is taken for what it is not: what was
// true is passed or left open, what is false is never passed, and no story says "expired" of an entry that a RST ended.
func TestDestroysThatDoNotTell(t *testing.T) {
	open := 0
	for _, name := range recorded.Names {
		plan := builtin.Plan(t, builtin.Find(t, name))
		e := recorded.Of(t, name)
		late(e, 3*time.Millisecond, rand.New(rand.NewPCG(1, 1)))
		mute(e)
		e.TimeEvents()
		r := result.New(plan, e)
		if r.Verdict == verdict.Fail {
			t.Errorf("%s: %s", name, r.Reason)
		}
		if r.Verdict == verdict.Inconclusive {
			open++
		}
		for _, text := range story(r) {
			if strings.Contains(text, "expired") {
				t.Errorf("%s: %s", name, text)
			}
		}
		negations, _ := resulttest.Negations(plan.Expect)
		for _, n := range negations {
			if v, _ := resulttest.Judged(plan, e, n.Expect); v == verdict.Pass {
				t.Errorf("%s: %s passes", name, n.Text)
			}
		}
	}
	t.Logf("%d of %d cannot be told", open, len(recorded.Names))
}
