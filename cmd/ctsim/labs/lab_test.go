package labs

import (
	"io"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
)

// TestNoPod: the sentence is one, however few pods there are.
func TestNoPod(t *testing.T) {
	for want, known := range map[string][]string{
		`there is no pod "nowhere", nor any other`:                                                  nil,
		`there is no pod or node "nowhere", expected one of server-1, server-2`:                     {"server-1", "server-2"},
		`there is no pod or node "nowhere", expected one of s1, s2, s3, s4, s5, s6, s7, s8, …, s12`: strings.Fields("s1 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 s12"),
	} {
		inv := &invocation{cmdline.NewCall(nil, nil, io.Discard, io.Discard)}
		if got := inv.noPod("nowhere", known).Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
