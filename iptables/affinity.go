package iptables

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ctsim/ctsim/dataplane"
)

// parseAffinities reads a list of xt_recent (net/netfilter/xt_recent.c, recent_seq_show):
// "src=172.18.219.65 ttl: 63 last_seen: 4295012345 oldest_pkt: 1 4295012345".
func parseAffinities(list, text string) ([]dataplane.Affinity, error) {
	var out []dataplane.Affinity
	for line := range strings.Lines(text) {
		a := dataplane.Affinity{List: list}
		var address, stamp string
		words := strings.Fields(line)
		for i, word := range words {
			if after, is := strings.CutPrefix(word, "src="); is {
				address = after
			}
			if word == "last_seen:" && i+1 < len(words) {
				stamp = words[i+1]
			}
		}
		var err error
		if a.Client, err = netip.ParseAddr(address); err == nil {
			a.Stamp, err = strconv.ParseUint(stamp, 10, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("the list %s of xt_recent holds %q: %w", list, strings.TrimSpace(line), err)
		}
		out = append(out, a)
	}
	return out, nil
}
