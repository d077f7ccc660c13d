package report

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// palettes are the colours of the page by name: light as such, dark and print where they differ from it.
func palettes(t *testing.T) map[string]map[string]string {
	t.Helper()
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(pageStyle, -1)
	if len(blocks) != 3 {
		t.Fatalf("%d sets of colours, want light, dark and print", len(blocks))
	}
	out := map[string]map[string]string{}
	for i, name := range []string{"light", "dark", "print"} {
		colours := map[string]string{}
		for light, colour := range out["light"] {
			colours[light] = colour
		}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6})`).FindAllStringSubmatch(blocks[i][1], -1) {
			colours[m[1]] = m[2]
		}
		out[name] = colours
	}
	return out
}

// TestContrast holds WCAG 2.1 AA: text 4.5 to 1 on every ground it stands on, lines and signs that mean something 3 to 1.
func TestContrast(t *testing.T) {
	text := map[string]string{
		"ink": "bg panel bad-bg warn-bg good-bg step-bg", "muted": "bg panel bad-bg warn-bg step-bg", "link": "bg panel",
		"bad": "bg panel bad-bg", "warn": "bg panel warn-bg bad-bg", "good": "bg panel good-bg", "service": "bg panel bad-bg", "pod": "bg panel bad-bg",
		"conntrack": "bg panel warn-bg bad-bg", "rule": "bg panel", "kernel": "bg panel", "socket": "bg panel", "application": "bg panel",
		"step": "step-bg", "mark-ink": "mark",
	}
	signs := map[string]string{"focus": "bg panel step-bg bad-bg warn-bg", "strong-line": "bg"}
	for name, colours := range palettes(t) {
		for _, pairs := range []struct {
			least float64
			of    map[string]string
		}{{4.5, text}, {3, signs}} {
			for fore, grounds := range pairs.of {
				for _, ground := range strings.Fields(grounds) {
					if colours[fore] == "" || colours[ground] == "" {
						t.Fatalf("%s: no colour %s or %s", name, fore, ground)
					}
					if c := contrast(t, colours[fore], colours[ground]); c < pairs.least {
						t.Errorf("%s: %s on %s is %.2f to 1, want %.1f", name, fore, ground, c, pairs.least)
					}
				}
			}
		}
	}
}

// contrast is that of WCAG 2.1, 1.4.3.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
