package scenario

import (
	"slices"
	"testing"
)

// TestEveryVerbSaysWhetherItBreaks: a verb says what it may do to a connection; left out, it would count as harmless, and
// no counter would be read before it.
func TestEveryVerbSaysWhetherItBreaks(t *testing.T) {
	var harmless []string
	for _, step := range Verbs() {
		if effect := stepKinds[step.Name].effect; effect != uses && effect != breaks {
			t.Errorf("%s does not say whether it breaks", step.Name)
		}
		if !step.Breaks() {
			harmless = append(harmless, step.Name)
		}
	}
	want := []string{"connect", "input", "receive", "repeat", "send", "shutdown", "start-client", "use"}
	if !slices.Equal(harmless, want) {
		t.Errorf("these leave connections as they are: %q, want %q", harmless, want)
	}
}
