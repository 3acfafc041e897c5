package nffi

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Error is an error with a detail or a code. Other errors arrive in Lua with
// their text only.
type Error struct {
	// Message is the second result of the call in Lua.
	Message string
	// Detail is the fourth, if it is not empty.
	Detail string
	// Code, unless 0, is the fourth instead: a number of the runtime's own.
	Code int32
}

func (e *Error) Error() string { return e.Message }

var (
	errNoConfig = errors.New("this runtime takes no configuration")
	errGoexit   = errors.New("the handler has ended its goroutine (runtime.Goexit)")
	errNoStart  = errors.New("the start has ended its goroutine (runtime.Goexit)")
	errNotServe = errors.New("nothing is served: call nffi.Serve in an init function")
)

// startError is why calls fail while a runtime does not start.
func startError(err *Error) error {
	return &Error{
		Message: "the runtime did not start: " + err.Message, Detail: err.Detail, Code: err.Code,
	}
}

// panicError is called by the function that has recovered.
func panicError(thrown any) *Error {
	return &Error{Message: fmt.Sprint("panic: ", thrown), Detail: string(debug.Stack())}
}

// failure is the error that the caller gets.
func failure(task uint64, err error) response {
	known := describe(err)
	if known.Code != 0 {
		return response{task: task, rc: known.Code, data: []byte(known.Message)}
	}
	return response{
		task: task, failed: true, data: []byte(known.Message), detail: []byte(known.Detail),
	}
}

// describe converts an error of the user, whose methods may panic: a nil pointer
// in an error is one that does.
func describe(err error) (known *Error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			known = panicError(thrown)
			known.Message = fmt.Sprintf("the error, a %T, cannot be read: %s", err, known.Message)
		}
	}()
	known = &Error{}
	left := maxCauses
	if found := find(err, &left); found != nil {
		known.Detail, known.Code = found.Detail, found.Code
	}
	known.Message = err.Error()
	return known
}

// maxCauses bounds a walk: an error that unwraps to itself has no end.
const maxCauses = 1000

// find returns the Error that this is or wraps, as errors.As does; nil: none.
func find(err error, left *int) *Error {
	for ; err != nil && *left > 0; *left-- {
		if known, ok := err.(*Error); ok {
			return known
		}
		if one, ok := err.(interface{ As(target any) bool }); ok {
			var known *Error
			if one.As(&known) {
				return known
			}
		}
		switch one := err.(type) {
		case interface{ Unwrap() error }:
			err = one.Unwrap()
		case interface{ Unwrap() []error }:
			for _, cause := range one.Unwrap() {
				if known := find(cause, left); known != nil {
					return known
				}
			}
			return nil
		default:
			return nil
		}
	}
	return nil
}

// guard calls a function of the user in a goroutine, which it may end, and
// returns its error; nil: it has none.
func guard(f func() error) (result *Error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			if thrown := recover(); thrown != nil {
				result = panicError(thrown)
			}
		}()
		result = describe(errNoStart)
		if err := f(); err != nil {
			result = describe(err)
		} else {
			result = nil
		}
	}()
	<-ended
	return result
}
