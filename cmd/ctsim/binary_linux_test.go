package main

import (
	"testing"

	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
)

// binary is ctsim with what the tests of this folder do with it.
type binary struct{ *systemtest.Binary }

func newBinary(t *testing.T, who systemtest.Caller) *binary {
	t.Helper()
	return &binary{systemtest.NewBinary(t, who)}
}

// forEachCaller runs a test as root and as an ordinary user.
func forEachCaller(t *testing.T, test func(*testing.T, *binary)) {
	systemtest.ForEachCaller(t, func(t *testing.T, b *systemtest.Binary) { test(t, &binary{b}) })
}

// forEachCallerAtOnce is forEachCaller, the two and other such tests side by side. What they look at has to be their own.
func forEachCallerAtOnce(t *testing.T, test func(*testing.T, *binary)) {
	systemtest.ForEachCallerAtOnce(t, func(t *testing.T, b *systemtest.Binary) { test(t, &binary{b}) })
}
