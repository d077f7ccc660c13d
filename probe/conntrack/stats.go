package conntrack

import (
	"fmt"
	"strconv"
	"strings"
)

// Stats counts what connection tracking did in one namespace since it began, over all processors. A counter that the
// kernel does not have is 0.
type Stats struct {
	// Invalid packets could not be tracked, a segment out of the window for instance (ctstate INVALID).
	Invalid uint64
	// InsertFailed entries lost a race against an entry with the same tuple; ClashResolve ones were saved from it.
	InsertFailed, ClashResolve uint64
	// Drop counts packets dropped because no entry could be made for them, EarlyDrop entries ended to make room in a
	// full table, ChainTooLong packets dropped because their hash bucket was full.
	Drop, EarlyDrop, ChainTooLong uint64
	// Error counts packets that failed checks before tracking (icmp_error in the file).
	Error uint64
}

// parseStats reads /proc/net/stat/nf_conntrack: a line of column names, then a line of hexadecimal numbers for each
// processor. Columns are found by name, since kernels add and retire them.
func parseStats(text string) (Stats, error) {
	var s Stats
	columns := map[string]*uint64{
		"invalid": &s.Invalid, "insert_failed": &s.InsertFailed, "clash_resolve": &s.ClashResolve, "clashres": &s.ClashResolve,
		"drop": &s.Drop, "early_drop": &s.EarlyDrop, "chaintoolong": &s.ChainTooLong, "icmp_error": &s.Error,
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	names := strings.Fields(lines[0])
	for _, line := range lines[1:] {
		for i, field := range strings.Fields(line) {
			if i >= len(names) || columns[names[i]] == nil {
				continue
			}
			n, err := strconv.ParseUint(field, 16, 64)
			if err != nil {
				return Stats{}, fmt.Errorf("conntrack statistics, column %s: %w", names[i], err)
			}
			*columns[names[i]] += n
		}
	}
	return s, nil
}
