//go:build !torture

package fault

// CanPlant tells whether this build can plant faults.
const CanPlant = false

// Is is false: this build has no faults but its own.
func Is(string) bool { return false }

// Plant does nothing in this build.
func Plant(string) {}
