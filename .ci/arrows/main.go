// Arrows prints how the code of each package hangs together: files, lines, how many arrows lead from one of its files
// to another (one uses what the other declares), and how many of them run back up in the order of files in which the
// fewest do. It measures and judges nothing: `make arrows`.
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "arrows:", err)
		os.Exit(1)
	}
}

// pkg is one package as `go list` tells of it.
type pkg struct {
	path, dir, export string
	files             []string
	own               bool
}

func run() error {
	all, err := list()
	if err != nil {
		return err
	}
	export := map[string]string{}
	for _, p := range all {
		export[p.path] = p.export
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(export[path]) })
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "files\tlines\tarrows\tback up\t  package\t")
	var sum [4]int
	for _, p := range all {
		if !p.own {
			continue
		}
		files, lines, err := parse(fset, p)
		if err != nil {
			return err
		}
		arrows, err := arrowsOf(fset, imports, p.path, files)
		if err != nil {
			return err
		}
		row := [4]int{len(files), lines, len(arrows), backUp(arrows)}
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t  %s\t\n", row[0], row[1], row[2], row[3], p.path)
		for i := range sum {
			sum[i] += row[i]
		}
	}
	fmt.Fprintf(w, "%d\t%d\t%d\t%d\t  all\t\n", sum[0], sum[1], sum[2], sum[3])
	return w.Flush()
}

// list asks the go command for the module's packages and what they import, compiled.
func list() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-export", "-deps", "-f",
		"{{.ImportPath}}\t{{.Dir}}\t{{.Export}}\t{{join .GoFiles \" \"}}\t{{with .Module}}{{.Main}}{{end}}", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []pkg
	for line := range bytes.Lines(out) {
		f := strings.Split(strings.TrimRight(string(line), "\n"), "\t")
		all = append(all, pkg{f[0], f[1], f[2], strings.Fields(f[3]), f[4] == "true"})
	}
	slices.SortFunc(all, func(a, b pkg) int { return cmp.Compare(a.path, b.path) })
	return all, nil
}

// parse reads a package's files, without those that a program has written.
func parse(fset *token.FileSet, p pkg) (files []*ast.File, lines int, err error) {
	for _, name := range p.files {
		f, err := parser.ParseFile(fset, filepath.Join(p.dir, name), nil, parser.ParseComments)
		if err != nil {
			return nil, 0, err
		}
		files = append(files, f)
		if !ast.IsGenerated(f) {
			lines += fset.File(f.Pos()).LineCount()
		}
	}
	return files, lines, nil
}

// arrow leads from a file to one that declares what it uses.
type arrow struct{ from, to string }

func arrowsOf(fset *token.FileSet, imports types.Importer, path string, files []*ast.File) ([]arrow, error) {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	checked, err := (&types.Config{Importer: imports}).Check(path, fset, files, info)
	if err != nil {
		return nil, err
	}
	found := map[arrow]bool{}
	for id, o := range info.Uses {
		if o.Pkg() != checked {
			continue
		}
		a := arrow{fset.Position(id.Pos()).Filename, fset.Position(o.Pos()).Filename}
		if a.from != a.to {
			found[a] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b arrow) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	}), nil
}

// backUp is how many arrows run against an order of the files that is good: again and again the file that the others
// need least is taken from the top, or the one that needs the others least from the bottom (Eades, Lin and Smyth, 1993).
func backUp(arrows []arrow) int {
	left := map[string]bool{}
	for _, a := range arrows {
		left[a.from], left[a.to] = true, true
	}
	var top, bottom []string
	for len(left) > 0 {
		in, out := map[string]int{}, map[string]int{}
		for _, a := range arrows {
			if left[a.from] && left[a.to] {
				out[a.from]++
				in[a.to]++
			}
		}
		names := slices.Sorted(maps.Keys(left))
		best := slices.MaxFunc(names, func(a, b string) int { return (out[a] - in[a]) - (out[b] - in[b]) })
		if i := slices.IndexFunc(names, func(n string) bool { return out[n] == 0 }); i >= 0 {
			bottom = append(bottom, names[i])
			delete(left, names[i])
			continue
		}
		top = append(top, best)
		delete(left, best)
	}
	slices.Reverse(bottom)
	place := map[string]int{}
	for i, n := range append(top, bottom...) {
		place[n] = i
	}
	n := 0
	for _, a := range arrows {
		if place[a.from] > place[a.to] {
			n++
		}
	}
	return n
}
