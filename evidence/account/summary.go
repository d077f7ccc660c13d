package account

import (
	"fmt"
	"slices"
	"strings"
)

// Typical is the connection that stands for the others: the first that was reset, or else the first that met another's
// server, or else the first that ended as expected if that is no survival, or else the first that did not survive, or else the first.
func Typical(accounts []*Account, expected Outcome) *Account {
	for _, is := range []func(Outcome) bool{
		func(o Outcome) bool { return o == Reset },
		func(o Outcome) bool { return o == WrongBackend },
		func(o Outcome) bool { return o == expected && o != Survived },
		func(o Outcome) bool { return o != Survived },
		func(Outcome) bool { return true },
	} {
		if i := slices.IndexFunc(accounts, func(a *Account) bool { return !a.Aside && is(a.Outcome) }); i >= 0 {
			return accounts[i]
		}
	}
	return accounts[0]
}

// Summary is the run in one sentence.
func Summary(a *Account, accounts []*Account) string {
	text, told := string(a.Outcome), "no program has been told"
	if a.Errno != "" {
		told = fmt.Sprintf("the %s got %s", a.NoticedBy, a.Errno)
	}
	switch {
	case a.Outcome == Reconnected:
		text = fmt.Sprintf("the connection was lost (%s after %s), and the client's program opened a new one by itself",
			a.lostPhrase(), Count(a.Breaks, "break", "breaks"))
	case a.Outcome == Reset && a.Rerouted():
		text = fmt.Sprintf("after %s the flow was re-routed from %s to %s, which answered RST; %s",
			Count(a.Breaks, "loss of its entry", "losses of its entry"), a.Backends[0], a.Backends[len(a.Backends)-1], told)
	case a.Outcome == Reset && a.Breaks > 0:
		text = told + " after " + Count(a.Breaks, "loss of the entry", "losses of the entry")
		if a.Errno == "" {
			text = "reset after " + Count(a.Breaks, "loss of the entry", "losses of the entry") + ", and " + told
		}
	case a.Outcome == Reset && a.Errno == "":
		text = "reset, although no entry was lost, and " + told
	case a.Outcome == Reset:
		text = told + ", although no entry was lost"
	case a.Outcome == Survived && a.Breaks > 0:
		text = fmt.Sprintf("the connection survived %s", Count(a.Breaks, "loss of its entry", "losses of its entry"))
	case a.Outcome == Survived:
		text = "the connection survived"
	case a.Outcome == Closed:
		text = "the connection was closed in order"
	case a.Outcome == Hang:
		text = "the connection hangs"
	case a.Outcome == Unknown:
		text = "it cannot be told what became of the connection"
	}
	if a.HalfClosed {
		text += ", half-closed"
	}
	if why := a.Balance.Why(); why != "" && (a.Outcome != Reset || a.Errno == "") && a.Outcome != Reconnected {
		text += ": " + why
	}
	if len(accounts) > 1 {
		var counts []string
		for _, o := range Outcomes {
			n := 0
			for _, other := range accounts {
				if other.Outcome == o {
					n++
				}
			}
			if n > 0 {
				one := fmt.Sprintf("%d %s", n, o)
				if o == Reset {
					one += tries(accounts)
				}
				counts = append(counts, one)
			}
		}
		return fmt.Sprintf("of %d connections %s", len(accounts), strings.Join(counts, ", "))
	}
	return text
}
