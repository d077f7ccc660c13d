package strictyaml

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ctsim/ctsim/internal/printable"
)

func (d *Decoder) integer(n Node, path string, v reflect.Value, tag reflect.StructTag) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		d.Problem(n, path, "", "%s, want a whole number%s", what(n), Bounds(tag))
		return
	}
	number, err := strconv.Atoi(fmt.Sprint(i.Value))
	low, high := number, number
	if s := tag.Get("min"); s != "" {
		low, _ = strconv.Atoi(s)
	}
	if s := tag.Get("max"); s != "" {
		high, _ = strconv.Atoi(s)
	}
	if err != nil || number < low || number > high {
		d.Problem(n, path, "", "%s is out of range, want a whole number%s", fmt.Sprint(i.Value), Bounds(tag))
		return
	}
	v.SetInt(int64(number))
}

// Bounds is the limits of a field's tag in words, " from 1 to 9"; empty unless it has both.
func Bounds(tag reflect.StructTag) string {
	low, high := tag.Get("min"), tag.Get("max")
	if low == "" || high == "" {
		return ""
	}
	return " from " + low + " to " + high
}

func (d *Decoder) str(n Node, path string, v reflect.Value, tag reflect.StructTag) {
	var text string
	switch t := n.(type) {
	case *ast.StringNode:
		text = t.Value
	case *ast.LiteralNode:
		text = strings.TrimSpace(t.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		if tag.Get("enum")+tag.Get("pattern")+tag.Get("format") != "" || tag.Get("scalar") == "" {
			d.Problem(n, path, "quote it", "%s, want text", what(n))
			return
		}
		text = n.GetToken().Value
	default:
		d.Problem(n, path, "", "%s, want text", what(n))
		return
	}
	if hint, wrong := wrongText(text, tag); wrong != "" {
		d.Problem(n, path, hint, "%s", wrong)
		return
	}
	v.SetString(text)
}

// unfit says why a text cannot be what its field is, by its tag text: one line if it says nothing. Only what is for a
// program, and not for a person, may hold what cannot be seen.
func unfit(text, kind string) (hint, wrong string) {
	switch {
	case strings.ContainsRune(text, 0):
		return "", "a NUL byte, which no text may hold"
	case kind == "data":
		return "", ""
	case !printable.IsText(text):
		return "", fmt.Sprintf("%.60q, want text without control characters or others that cannot be seen", text)
	case kind != "lines" && !printable.IsLine(text):
		return "write a space", fmt.Sprintf("%.60q, want one line, without tabs", text)
	}
	return "", ""
}

func wrongText(text string, tag reflect.StructTag) (hint, wrong string) {
	if hint, wrong := unfit(text, tag.Get("text")); wrong != "" {
		return hint, wrong
	}
	if enum := tag.Get("enum"); enum != "" {
		valid := strings.Split(enum, ",")
		if !slices.Contains(valid, text) {
			return DidYouMean(text, valid), fmt.Sprintf("%q, want one of %s", text, strings.Join(valid, ", "))
		}
	}
	if p := tag.Get("pattern"); p != "" && !regexp.MustCompile(p).MatchString(text) {
		return "", fmt.Sprintf("%q does not match %s", text, p)
	}
	if tag.Get("format") == "ipv4" {
		if a, err := netip.ParseAddr(text); err != nil || !a.Is4() {
			return "", fmt.Sprintf("%q, want an IPv4 address", text)
		}
	}
	return "", ""
}

func (d *Decoder) duration(n Node, path string, v reflect.Value, tag reflect.StructTag) {
	s, ok := n.(*ast.StringNode)
	if !ok {
		d.Problem(n, path, "write a unit", "%s, want a duration like 500ms, 3s or 24h", what(n))
		return
	}
	got, err := time.ParseDuration(s.Value)
	if err != nil {
		d.Problem(n, path, "", "%q, want a duration like 500ms, 3s or 24h", s.Value)
		return
	}
	low, _ := time.ParseDuration(tag.Get("min"))
	high, err := time.ParseDuration(tag.Get("max"))
	if got < low || (err == nil && got > high) {
		d.Problem(n, path, "", "%s is out of range, want a duration%s", s.Value, Bounds(tag))
		return
	}
	if unit, err := time.ParseDuration(tag.Get("unit")); err == nil && got%unit != 0 {
		d.Problem(n, path, "", "%s is not a multiple of %s, the kernel's unit", s.Value, unit)
		return
	}
	v.SetInt(int64(got))
}
