package cmdline

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/ctsim/ctsim/internal/printable"
)

// Table writes rows below a heading, in columns. The heading's cells are parted by tabs.
func Table(w io.Writer, heading string, fill func(row func(...any))) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, heading)
	fill(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	})
	return t.Flush()
}

// JSON writes a document for programs that people read too: what people could not see is written as \u and a number.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(printable.JSON(w))
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
