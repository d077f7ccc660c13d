package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ctsim/ctsim/evidence"
	"github.com/ctsim/ctsim/evidence/account"
	"github.com/ctsim/ctsim/scenario/result"
)

// TestPicture holds that no way of the example's runs through a pod that it does not lead to, nor through what is
// written on a node: whichever backends it was, on one node or on two.
func TestPicture(t *testing.T) {
	r := &result.Result{World: []evidence.Place{
		{Name: "outside", Kind: "machine"}, {Name: "client", Kind: "pod", Node: "master"}, {Name: "master", Kind: "node"},
		{Name: "node1", Kind: "node"}, {Name: "node2", Kind: "node"}}}
	for i := range 6 {
		r.World = append(r.World, evidence.Place{Name: fmt.Sprint("server-", i), Kind: "pod", Role: "server", Node: fmt.Sprint("node", i/4+1)})
	}
	for _, client := range []string{"client", "outside", "master"} {
		for i := range r.World {
			if p := &r.World[i]; p.Role != "server" {
				p.Role = map[bool]string{true: "client"}[p.Name == client]
			}
		}
		for first := range 6 {
			for last := range 6 {
				backends := []string{fmt.Sprint("server-", first), fmt.Sprint("server-", last)}
				p := newPicture(r, account.Connection{ID: 1, Backends: backends})
				drawn := 0
				for _, e := range p.Edges {
					if hasClass(e.Class, "link") {
						continue
					}
					drawn++
					checkWay(t, fmt.Sprint(client, " ", backends), p, e)
				}
				if want := 3 - map[bool]int{true: 1}[first == last]; drawn != want {
					t.Errorf("%s %v: %d ways are drawn, want %d", client, backends, drawn, want)
				}
			}
		}
	}
}

// checkWay holds that the upright part of a way, as wide as it is with its bends, meets no pod and no title.
func checkWay(t *testing.T, what string, p *picture, e edge) {
	t.Helper()
	var x, from, to int
	if _, err := fmt.Sscanf(e.Path, "M%d %dV%d", &x, &from, &to); err != nil {
		t.Fatalf("%s: %q: %v", what, e.Path, err)
	}
	for _, b := range p.Boxes {
		across := func(x1, y1, x2, y2 int) bool { return x > x1-2 && x < x2+2 && to > y1 && from < y2 }
		if hasClass(b.Class, "pod") && b.Y != from-b.H && across(b.X, b.Y, b.X+b.W, b.Y+b.H) {
			t.Errorf("%s: %s runs through %s", what, e.Path, b.Title)
		}
		const letter = 8 // at most, at the size it is written
		if hasClass(b.Class, "node") && across(b.TX, b.TY-14, b.TX+letter*len(b.Title), b.TY+4) {
			t.Errorf("%s: %s runs through the title of %s", what, e.Path, b.Title)
		}
	}
}

// hasClass tells whether a list of classes holds one.
func hasClass(classes, one string) bool { return slices.Contains(strings.Fields(classes), one) }
