package trial

import (
	"context"
	"slices"
)

// tries is how often a smaller case is run before it counts as innocent: which pod is picked is chance.
const tries = 4

// Shrink looks for the smallest case that still has a finding of that kind, with the fault planted, until ctx ends.
func Shrink(ctx context.Context, t *Trial, kind, fault string) *Trial {
	for {
		smaller := less(ctx, t, kind, fault)
		if smaller == nil {
			return t
		}
		t = smaller
	}
}

// less is a trial of a case with one part less that has the finding too; nil if there is none.
func less(ctx context.Context, t *Trial, kind, fault string) *Trial {
	for _, c := range t.Case.Smaller() {
		for range tries {
			if ctx.Err() != nil {
				return nil
			}
			again, refused, err := Run(ctx, c)
			if refused != nil || err != nil || again.Interrupted() {
				break
			}
			if slices.ContainsFunc(again.FindingsWith(fault), func(f Finding) bool { return f.Kind == kind }) {
				return again
			}
		}
	}
	return nil
}

// Kinds are the different kinds of findings, in order.
func Kinds(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		if !slices.Contains(out, f.Kind) {
			out = append(out, f.Kind)
		}
	}
	return out
}
