package scenario

import (
	"strings"
	"testing"
)

// TestBounds: what one scenario may have, and one more than that.
func TestBounds(t *testing.T) {
	file := func(steps, alternatives string) string {
		return "scenarios:\n- {name: x, title: t, steps: [connect, " + steps + "], expect: {outcome: survived, alternatives: [" + alternatives + "]}}\n"
	}
	nested := func(times string, n int) string {
		return strings.Repeat("{repeat: {times: "+times+", steps: [", n) + "send" + strings.Repeat("]}}", n)
	}
	alternative := "{reason: r, expect: {outcome: reset}}, "
	for _, c := range []struct{ name, text, want string }{
		{"many steps", file(strings.Repeat("send,", 998), ""), ""},
		{"too many steps", file(strings.Repeat("send,", 1000), ""), "f:2:4: scenarios[0].steps: 1001 steps, want at most 1000"},
		{"too many steps in repeats", file(strings.Repeat("repeat: {times: 1, steps: [send]},", 501), ""), "1003 steps, want at most 1000"},
		{"many rounds", file(nested("300", 2), ""), ""},
		{"too many rounds", file(nested("1000", 2), ""), "more than 100000 steps would be taken"},
		{"rounds without number", file(nested("1000", 18), ""), "more than 100000 steps would be taken"},
		{"rounds one after the other", file(strings.Repeat("repeat: {times: 1000, steps: [send]},", 101), ""), "more than 100000 steps"},
		{"many alternatives", file("send", strings.Repeat(alternative, 20)), ""},
		{"too many alternatives", file("send", strings.Repeat(alternative, 21)), "scenarios[0].expect.alternatives: 21 alternatives, want at most 20"},
		{"alternatives of alternatives", file("send", "{reason: r, expect: {outcome: reset, alternatives: ["+strings.Repeat(alternative, 20)+"]}}"),
			"21 alternatives, want at most 20"},
	} {
		_, err := Parse("f", []byte(c.text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
