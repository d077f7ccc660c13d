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
	text := string(a.Outcome)
	switch {
	case a.Outcome == Reconnected:
		text = fmt.Sprintf("the connection was lost (%s after %s), and the client's program opened a new one by itself",
			a.lostPhrase(), Count(a.Breaks, "break", "breaks"))
	case a.Outcome == Reset && a.Rerouted():
		text = fmt.Sprintf("after %s the flow was re-routed from %s to %s, which answered RST; the %s got %s",
			Count(a.Breaks, "loss of its entry", "losses of its entry"), a.Backends[0], a.Backends[len(a.Backends)-1], a.NoticedBy, a.Errno)
	case a.Outcome == Reset && a.Breaks > 0:
		text = fmt.Sprintf("the %s got %s after %s", a.NoticedBy, a.Errno, Count(a.Breaks, "loss of the entry", "losses of the entry"))
	case a.Outcome == Reset && a.Errno != "":
		text = fmt.Sprintf("the %s got %s, although no entry was lost", a.NoticedBy, a.Errno)
	case a.Outcome == Survived && a.Breaks > 0:
		text = fmt.Sprintf("the connection survived %s", Count(a.Breaks, "loss of its entry", "losses of its entry"))
	case a.Outcome == Hang && a.Lost() <= 0:
		text = "the connection hangs: what was sent last is never acknowledged"
	case a.Outcome == Hang:
		text = "the connection hangs: sends succeed, nothing arrives"
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
				text := fmt.Sprintf("%d %s", n, o)
				if o == Reset {
					text += tries(accounts)
				}
				counts = append(counts, text)
			}
		}
		return fmt.Sprintf("of %d connections %s", len(accounts), strings.Join(counts, ", "))
	}
	return text
}
