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

// TestHolder: of several files of one inode number the one of this device counts, and if none is, none of several.
func TestHolder(t *testing.T) {
	const lines = "1: FLOCK  ADVISORY  WRITE 11 00:1a:7 0 EOF\n2: FLOCK  ADVISORY  WRITE 12 00:1b:7 0 EOF\n3: FLOCK  ADVISORY  WRITE 13 00:1c:8 0 EOF\n"
	for _, c := range []struct {
		minor, inode uint64
		want         int
	}{{0x1b, 7, 12}, {0x1a, 7, 11}, {0x99, 7, 0}, {0x99, 8, 13}, {0x1a, 9, 0}} {
		if got := whoHolds(lines, c.minor, c.inode); got != c.want {
			t.Errorf("device 00:%x, inode %d: process %d, want %d", c.minor, c.inode, got, c.want)
		}
	}
}
