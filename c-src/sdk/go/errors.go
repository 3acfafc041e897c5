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
	errNotServe = errors.New("nothing is served: call nffi.Serve in an init function")
)

// startError is why calls fail while a runtime does not start.
func startError(err error) error {
	return fmt.Errorf("the runtime did not start: %w", err)
}

// panicError is called by the function that has recovered.
func panicError(thrown any) error {
	return &Error{Message: fmt.Sprint("panic: ", thrown), Detail: string(debug.Stack())}
}

// failure is the error that the caller gets.
func failure(task uint64, err error) response {
	known := &Error{}
	if !errors.As(err, &known) {
		return response{task: task, failed: true, data: []byte(err.Error())}
	}
	if known.Code != 0 {
		return response{task: task, rc: known.Code, data: []byte(err.Error())}
	}
	return response{task: task, failed: true, data: []byte(err.Error()), detail: []byte(known.Detail)}
}
