package nffi

import (
	"context"
	"unsafe"
)

// TestDoor is how package nffitest starts a runtime. It is not for programs: use
// nffitest. It is here, not in an internal package, so that this package imports
// no other of its module: go.mod files that require it by its former name, nffi,
// and replace that by this directory go on to work.
type TestDoor struct{}

// Registered returns what Serve was given, for one configuration.
func (TestDoor) Registered(config []byte) (func(context.Context) (Handler, error), error) {
	if served == nil {
		return nil, errNotServe
	}
	return served(config)
}

// Start serves a queue. The channel is closed when the runtime has ended.
func (TestDoor) Start(
	queue unsafe.Pointer, make func(context.Context) (Handler, error),
) <-chan struct{} {
	runtime := newRuntime(newQueue(queue))
	go runtime.start(make)
	return runtime.ended
}
