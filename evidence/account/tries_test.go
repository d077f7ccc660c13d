package account

import "testing"

func TestTries(t *testing.T) {
	for want, breaks := range map[string][]int{
		"of 4 connections 4 survived": {-1, -1, -1, -1},
		"of 2 connections 1 survived, 1 reset (after the first loss of the entry)":            {-1, 1},
		"of 2 connections 2 reset (after 3 losses of the entry)":                              {3, 3},
		"of 2 connections 2 reset (after 2 to 3 losses of the entry)":                         {3, 2},
		"of 3 connections 3 reset (after 1 to 4 losses of the entry, 2 of them by the first)": {1, 4, 1},
		"of 3 connections 3 reset": {0, 0, 0},
	} {
		var accounts []*Account
		for _, n := range breaks {
			a := &Account{Connection: Connection{Outcome: Reset, Breaks: n}}
			if n < 0 { // survived, however often
				a.Outcome, a.Breaks = Survived, 7
			}
			accounts = append(accounts, a)
		}
		if got := Summary(accounts[0], accounts); got != want {
			t.Errorf("%v: %q, want %q", breaks, got, want)
		}
	}
}
