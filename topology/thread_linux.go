package topology

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Panic is what Do panics with if its function did: the function's panic, brought to the goroutine that called Do.
type Panic struct {
	// Value is what the function panicked with, and Stack that of the goroutine it happened on, as debug.Stack has it.
	Value any
	Stack []byte
}

// Error is the value and the stack, so that a crash shows both.
func (p *Panic) Error() string {
	return fmt.Sprintf("%v\n\ninside a namespace:\n%s", p.Value, p.Stack)
}

// Unwrap is the value, if that is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// onThread runs f on a thread of its own that ends with f: the goroutine stays locked to it, so the runtime throws the
// thread away instead of giving a thread in a foreign namespace to somebody else. For the caller f seems to run on its
// own goroutine: a panic of f, as a *Panic, and a runtime.Goexit (t.FailNow in a test is one) become the caller's.
func onThread(f func() error) error {
	var (
		err      error
		panicked *Panic
		returned bool
	)
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		defer func() {
			if value := recover(); value != nil {
				panicked = asPanic(value)
			}
		}()
		err = f()
		returned = true
	}()
	<-done
	switch {
	case panicked != nil:
		panic(panicked)
	case !returned:
		runtime.Goexit()
	}
	return err
}

// asPanic is a value that was recovered, with the stack of now. One that comes out of a namespace inside this one has its
// own.
func asPanic(value any) *Panic {
	if inner, ok := value.(*Panic); ok {
		return inner
	}
	return &Panic{Value: value, Stack: debug.Stack()}
}
