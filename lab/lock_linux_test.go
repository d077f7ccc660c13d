package lab

import "testing"

func TestFlockOf(t *testing.T) {
	for line, want := range map[string]int{
		"1: FLOCK  ADVISORY  WRITE 28202 fe:00:1234 0 EOF":    28202,
		"1: FLOCK  ADVISORY  WRITE 28202 fe:00:1235 0 EOF":    0, // another file
		"1: FLOCK  ADVISORY  WRITE 28202 fe:00:91234 0 EOF":   0,
		"1: -> FLOCK  ADVISORY  WRITE 28203 fe:00:1234 0 EOF": 0, // it waits too
		"1: POSIX  ADVISORY  WRITE 28202 fe:00:1234 0 EOF":    0,
		"1: FLOCK  ADVISORY  WRITE -1 fe:00:1234 0 EOF":       0, // nobody this process can see
		"":    0,
		"1: ": 0,
	} {
		if got := flockOf(line, 1234); got != want {
			t.Errorf("%s: %d, want %d", line, got, want)
		}
	}
}
