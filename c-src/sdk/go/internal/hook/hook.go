// Package hook is the door through which package nffitest starts a runtime; it
// is set by package nffi.
package hook

import (
	"context"
	"unsafe"
)

var (
	// Registered gives what nffi.Serve was given, for one configuration.
	Registered func(config []byte) (func(context.Context) (any, error), error)

	// Start serves a queue; the channel is closed when it has ended.
	Start func(queue unsafe.Pointer, make func(context.Context) (any, error)) <-chan struct{}
)
