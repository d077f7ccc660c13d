package replay

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/scenario"
)

// TestEveryVerbIsTaken: a verb that a run cannot take is named. It reads the source, so that it needs no kernel.
func TestEveryVerbIsTaken(t *testing.T) {
	source, err := os.ReadFile("take_linux.go")
	if err != nil {
		t.Fatal(err)
	}
	if missing, err := notTaken(string(source), scenario.Verbs()); err != nil || len(missing) > 0 {
		t.Errorf("take has no case for %v (%v)", missing, err)
	}

	// The test itself: it must see what is missing, and what is empty.
	for from, to := range map[string]string{
		"\tcase *scenario.Flush:\n\t\treturn r.flush(ctx, v, active)\n": "",
		"\t\treturn r.flush(ctx, v, active)\n":                          "",
	} {
		less := strings.Replace(string(source), from, to, 1)
		if missing, err := notTaken(less, scenario.Verbs()); err != nil || !slices.Equal(missing, []string{"flush"}) {
			t.Errorf("without %q: %v (%v)", from, missing, err)
		}
	}
}

// notTaken are the verbs for whose step the type switch of take, in the source given, has no case that does something.
func notTaken(source string, language []scenario.Step) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", source, 0)
	if err != nil {
		return nil, err
	}
	taken, found := map[string]bool{}, false
	ast.Inspect(file, func(n ast.Node) bool {
		if f, ok := n.(*ast.FuncDecl); ok {
			return f.Name.Name == "take"
		}
		s, ok := n.(*ast.TypeSwitchStmt)
		if !ok {
			return true
		}
		found = true
		for _, stmt := range s.Body.List {
			c := stmt.(*ast.CaseClause)
			for _, of := range c.List {
				taken[typeName(of)] = len(c.Body) > 0
			}
		}
		return false
	})
	if !found {
		return nil, fmt.Errorf("no type switch in a function take")
	}
	var out []string
	for _, step := range language {
		if !taken[reflect.TypeOf(step.Verb).Elem().Name()] {
			out = append(out, step.Name)
		}
	}
	return out, nil
}

// typeName is the name of a pointer's type, of this package or another.
func typeName(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	switch t := e.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.SelectorExpr:
		return t.Sel.Name
	}
	return ""
}
