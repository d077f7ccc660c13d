package account

import "fmt"

// tries tells how many losses of their entries it took until connections were re-routed and reset, in brackets; empty where
// none was by a loss of its entry.
func tries(accounts []*Account) string {
	fewest, most, first, all := 0, 0, 0, 0
	for _, a := range accounts {
		if a.Outcome != Reset || a.Breaks == 0 {
			continue
		}
		if all == 0 || a.Breaks < fewest {
			fewest = a.Breaks
		}
		most, all = max(most, a.Breaks), all+1
		if a.Breaks == 1 {
			first++
		}
	}
	switch {
	case all == 0:
		return ""
	case most == 1:
		return " (after the first loss of the entry)"
	case fewest == most:
		return fmt.Sprintf(" (after %d losses of the entry)", most)
	case first == 0:
		return fmt.Sprintf(" (after %d to %d losses of the entry)", fewest, most)
	}
	return fmt.Sprintf(" (after %d to %d losses of the entry, %d of them by the first)", fewest, most, first)
}
