package strictyaml

import (
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"flush", "flush-multi-backend", "flush-single-backend", "clusterIP", "send", "wait"}
	for name, want := range map[string]string{
		"flsh":                 "flush",                // dropped
		"flushh":               "flush",                // added
		"flosh":                "flush",                // changed
		"fulsh":                "flush",                // swapped
		"flush-multi-backends": "flush-multi-backend",  // the nearest of two that are near
		"flush-singel-backend": "flush-single-backend", // two swaps and a change would be far for a short name
		"wiat":                 "wait",
		"clusterip":            "clusterIP",
		"FLUSH-multi-backend":  "flush-multi-backend", // capitals are no change
		"Wait":                 "wait",
		"send":                 "send",
		"":                     "",
		"x":                    "",
		"connect":              "",
		"キー":                   "",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
	if got := Nearest("flush", nil); got != "" {
		t.Errorf("nearest of none is %q", got)
	}
	if got := Nearest("aa", []string{"ab", "ac"}); got != "ab" {
		t.Errorf("of two that are equally near the first is meant, got %q", got)
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abcd", "badc", 2}, {"ca", "abc", 3},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d changes, want %d", c.a, c.b, got, c.want)
		}
		if got := editDistance(c.b, c.a); got != c.want {
			t.Errorf("%q to %q: %d changes, want %d", c.b, c.a, got, c.want)
		}
	}
}
