//go:build torture

package fault

import "sync/atomic"

// CanPlant tells whether this build can plant faults.
const CanPlant = true

var planted atomic.Pointer[string]

// Is tells whether the fault of that name is planted.
func Is(name string) bool {
	p := planted.Load()
	return p != nil && *p == name
}

// Plant switches one fault on and the one before it off; the empty name is none.
func Plant(name string) { planted.Store(&name) }
