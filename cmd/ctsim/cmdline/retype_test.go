package cmdline

import (
	"os/exec"
	"testing"
)

// TestQuote: what is quoted comes out of a shell as it was; what holds line breaks, out of the shells that people type to.
func TestQuote(t *testing.T) {
	for _, word := range []string{"", "plain", "two words", "it's", `a"b`, "$HOME", "*", "-f", `\`, "ä", "~", "#x", "a;b", "a\nb"} {
		shell := "sh"
		if word == "a\nb" {
			shell = "bash"
		}
		out, err := exec.Command(shell, "-c", "printf %s "+Quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q became %q (%v) as %s", word, out, err, Quote(word))
		}
	}
}

func TestRetyped(t *testing.T) {
	inv := &Call{Args: []string{"./ctsim", "run", "--otput=json", "a b", "--all", "-o", "jsn"}}
	for _, c := range []struct{ word, instead, want string }{
		{"--otput", "--output", "./ctsim run --output=json 'a b' --all -o jsn"},
		{"json", "text", "./ctsim run --otput=text 'a b' --all -o jsn"},
		{"jsn", "json", "./ctsim run --otput=json 'a b' --all -o json"},
		{"--all", "", "./ctsim run --otput=json 'a b' -o jsn"},
		{"nothing", "x", "./ctsim run --otput=json 'a b' --all -o jsn"},
	} {
		if got := inv.Retyped(c.word, c.instead); got != c.want {
			t.Errorf("%s → %s: got %s, want %s", c.word, c.instead, got, c.want)
		}
	}
}

func TestWith(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{{[]string{"ctsim", "run", "-f", "a b"}, "ctsim run -f 'a b' --new"}, {[]string{"ctsim", "run", "--", "-x"}, "ctsim run --new -- -x"}} {
		if got := (&Call{Args: c.args}).With("--new"); got != c.want {
			t.Errorf("%q: %s, want %s", c.args, got, c.want)
		}
	}
}
