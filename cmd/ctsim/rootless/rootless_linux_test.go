package rootless

import (
	"errors"
	"strings"
	"testing"
)

// TestExplain: whatever is missing, or nothing, the sentence is one.
func TestExplain(t *testing.T) {
	defer func(was bool) { marked = was }(marked)
	for _, c := range []struct {
		root, marked bool
		missing      []string
		want         string
	}{
		{true, false, []string{"CAP_SYS_ADMIN", "CAP_NET_RAW"}, "root lacks CAP_SYS_ADMIN, CAP_NET_RAW, and no user namespace could be made: no"},
		{true, false, nil, "this root is one of a user namespace, and could make none of its own: no"},
		{true, true, nil, "no root, and no user namespace either: no"},
		{false, false, []string{"CAP_SYS_ADMIN"}, "no root, and no user namespace either: no"},
	} {
		marked = c.marked
		if got := explain(c.root, c.missing, errors.New("no")); !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
