// Package hook connects package nffitest to package nffi, which sets it: nffitest
// starts a runtime through it.
package hook

import (
	"context"
	"unsafe"
)

var (
	// Registered returns the handlers of nffi.Serve for one configuration.
	Registered func(config []byte) (func(context.Context) (any, error), error)

	// Start serves a queue; the channel is closed when it has ended.
	Start func(queue unsafe.Pointer, make func(context.Context) (any, error)) <-chan struct{}
)
