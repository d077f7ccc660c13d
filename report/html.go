package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"

	"github.com/ctsim/ctsim/scenario/result"
)

var (
	//go:embed html/page.html
	pageSource string
	//go:embed html/page.css
	pageStyle string
	//go:embed html/page.js
	pageScript string

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
		// args hands a template more than one thing.
		"args": func(all ...any) []any { return all },
	}).Parse(pageSource))
)

// HTML writes one result as a page to look at: one file that needs nothing else, no network, and little JavaScript (for
// the arrow keys and the copy buttons; everything can be read and opened without). The page forbids itself by its
// content security policy to load anything or to run any other script, so that a hostile text in a result stays text.
func HTML(w io.Writer, r *result.Result) error {
	// Made as a whole first: half a page would look like a page.
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, newPage(printableResult(r))); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// contentPolicy allows this page's own style and script, by what they are, and nothing else.
func contentPolicy() string {
	return "default-src 'none'; style-src " + hashOf(pageStyle) + "; script-src " + hashOf(pageScript) +
		"; base-uri 'none'; form-action 'none'"
}

func hashOf(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
