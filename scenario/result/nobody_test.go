package result

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/evidence/recorded"
	"github.com/ctsim/ctsim/scenario"
	"github.com/ctsim/ctsim/scenario/verdict"
)

// TestOverNobody: whatever is expected of connections, and passes, is inconclusive where no connection was opened.
func TestOverNobody(t *testing.T) {
	for field, r := range rows() {
		e := r.of(t)
		e.Flows = nil
		got := judged(t, r.evidence, r.right, e)
		if got.Verdict != verdict.Inconclusive {
			t.Errorf("%s: nobody is covered: %s: %s", field, got.Verdict, got.Reason)
		}
		for i, c := range got.Expectations {
			if whom := r.right.Whom(r.right.Atoms()[i]); c.Verdict != verdict.Inconclusive && !whom.None {
				t.Errorf("%s: %s: %s: %s", field, c.Text, c.Verdict, c.Reason)
			}
		}
	}
}

// TestAllListed: what is expected of the rest is inconclusive where all connections are listed, and so is what is
// expected of one that is not there.
func TestAllListed(t *testing.T) {
	listed := []scenario.ConnectionCheck{{ID: 1, Outcome: account.Reset}}
	for _, x := range []scenario.Expect{
		{Outcome: account.Hang, Errno: "EBOGUS", FailedSend: 77, Connections: listed},
		{Share: &scenario.ShareCheck{Of: account.Reset, Probability: "1"}, Connections: listed},
		{Connections: append(listed, scenario.ConnectionCheck{ID: 2, Outcome: account.Timeout})},
	} {
		if got := judged(t, multi, x, recorded.Of(t, multi)); got.Verdict != verdict.Inconclusive {
			t.Errorf("%+v: %s: %s", x, got.Verdict, got.Reason)
		}
	}
	if got := judged(t, multi, scenario.Expect{Connections: listed}, recorded.Of(t, multi)); got.Verdict != verdict.Pass {
		t.Errorf("only what is listed is expected: %s: %s", got.Verdict, got.Reason)
	}
}

// TestShareCovers: beside a share, errno and the like speak of the connections that the share counts, and of none if it
// counts none.
func TestShareCovers(t *testing.T) {
	share := func(of account.Outcome, p string) scenario.Expect {
		return scenario.Expect{Share: &scenario.ShareCheck{Of: of, Probability: p}, Errno: "ECONNRESET"}
	}
	for _, c := range []struct {
		x    scenario.Expect
		want verdict.Verdict
	}{
		{share(account.Reset, "1"), verdict.Pass},
		{share(account.Hang, "0"), verdict.Inconclusive},
	} {
		if got := judged(t, multi, c.x, recorded.Of(t, multi)); got.Verdict != c.want {
			t.Errorf("%s: %s: %s", c.x.Share.Of, got.Verdict, got.Reason)
		}
	}
	wrong := share(account.Reset, "1")
	wrong.Errno = "EPIPE"
	if got := judged(t, multi, wrong, recorded.Of(t, multi)); got.Verdict != verdict.Fail {
		t.Errorf("another errno: %s: %s", got.Verdict, got.Reason)
	}
}

// TestShareOfTooFew: fewer connections than can tell a share from chance leave it inconclusive, whatever they show; what
// chance does not allow fails.
func TestShareOfTooFew(t *testing.T) {
	few := func(of account.Outcome, p string) scenario.Expect {
		return scenario.Expect{Share: &scenario.ShareCheck{Of: of, Probability: p}}
	}
	for _, x := range []scenario.Expect{few(account.Reset, "0.5"), few(account.Hang, "0.5"), few(account.Reset, "1/N")} {
		if got := judged(t, multi, x, recorded.Of(t, multi)); got.Verdict != verdict.Inconclusive {
			t.Errorf("%+v: %s: %s", x.Share, got.Verdict, got.Reason)
		}
	}
	if got := judged(t, multi, few(account.Reset, "0"), recorded.Of(t, multi)); got.Verdict != verdict.Fail {
		t.Errorf("a share of 0 is exact: %s: %s", got.Verdict, got.Reason)
	}
}

// TestShareTellsItsInterval: what chance allows stands in the verdict and in its reason, also of one that passes.
func TestShareTellsItsInterval(t *testing.T) {
	for p, want := range map[string]verdict.Verdict{"1": verdict.Pass, "0.5": verdict.Inconclusive, "0": verdict.Fail} {
		x := scenario.Expect{Share: &scenario.ShareCheck{Of: account.Reset, Probability: p}}
		got := judged(t, multi, x, recorded.Of(t, multi))
		s := got.Expectations[0].Share
		if got.Verdict != want || s == nil || s.Seen != 1 || s.Of != 1 || !strings.Contains(got.Reason, fmt.Sprintf("chance allows %d to %d", s.AtLeast, s.AtMost)) {
			t.Errorf("%s: %s: %s, %+v", p, got.Verdict, got.Reason, s)
		}
	}
}

// TestUntried: a connection that no step has come to is nobody: that it is not there says nothing of it.
func TestUntried(t *testing.T) {
	e := &evidence.Evidence{Connections: 1}
	if got := judged(t, multi, scenario.Expect{Outcome: account.Timeout}, e); got.Verdict != verdict.Inconclusive {
		t.Errorf("%s: %s", got.Verdict, got.Reason)
	}
}
