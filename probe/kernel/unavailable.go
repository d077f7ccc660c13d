package kernel

// Unavailable is the error of Watch on a machine where the kernel cannot be watched. It is no fault of the caller: a run
// goes on without this evidence, and says so.
type Unavailable struct {
	// What is missing, as an end to "needs …", on one line: "BTF of the kernel (CONFIG_DEBUG_INFO_BTF)" for instance.
	What string
	// Err is what the kernel answered.
	Err error
}

func (e *Unavailable) Error() string {
	return "the kernel's own trace needs " + e.What
}

func (e *Unavailable) Unwrap() error { return e.Err }
