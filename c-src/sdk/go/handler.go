package nffi

import (
	"context"
	"fmt"
	"sort"
	"strings"
)

// Request is one call.
type Request struct {
	// Method is the method name; empty for runtime:call(bytes).
	Method string
	// Data is the payload; nil if Lua passed nil, empty if it passed "". It is
	// valid until the handler returns: copy it to keep it longer.
	Data []byte

	streamed bool // Lua reads chunks
}

// Handler handles calls, several concurrently. The context has the deadline of
// the call. It is cancelled when the client disconnects, the Lua thread is killed
// or the call times out.
//
// An error arrives in Lua as nil, message, "runtime_error", detail; and so does a
// panic, with its stack as detail.
type Handler interface {
	Handle(ctx context.Context, request Request) ([]byte, error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, request Request) ([]byte, error)

// Handle calls the function.
func (f HandlerFunc) Handle(ctx context.Context, request Request) ([]byte, error) {
	return f(ctx, request)
}

// Bytes creates a Handler from a function that takes and returns bytes. The
// function owns the bytes that it gets.
func Bytes(f func(ctx context.Context, request []byte) ([]byte, error)) Handler {
	return HandlerFunc(func(ctx context.Context, request Request) ([]byte, error) {
		if request.Data == nil {
			return f(ctx, nil)
		}
		return f(ctx, append([]byte{}, request.Data...))
	})
}

// JSON makes a Handler of a function of Go values: the request is decoded from
// JSON and the response encoded, by the rules of encoding/json. A number where Q has
// an interface is a json.Number. A call without bytes gets the zero value.
func JSON[Q, R any](f func(ctx context.Context, request Q) (R, error)) Handler {
	decode := decoderOf[Q]()
	return HandlerFunc(func(ctx context.Context, request Request) ([]byte, error) {
		value, err := decode(request.Data)
		if err != nil {
			return nil, err
		}
		response, err := f(ctx, value)
		if err != nil {
			return nil, err
		}
		return encode(response)
	})
}

// Methods maps each method to a Handler; "" is for calls without a method. It
// must not be changed after Serve.
type Methods map[string]Handler

// Handle passes a request to the Handler of its method.
func (m Methods) Handle(ctx context.Context, request Request) ([]byte, error) {
	handler, err := m.find(request.Method)
	if err != nil {
		return nil, err
	}
	return handler.Handle(ctx, request)
}

func (m Methods) find(name string) (Handler, error) {
	if handler, found := m[name]; found && handler != nil {
		return handler, nil
	}
	var names []string
	for name := range m {
		if name != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	if name == "" {
		return nil, fmt.Errorf("a call without a method has no handler; methods: %s",
			strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("unknown method %q; methods: %s", name, strings.Join(names, ", "))
}

// Inline makes a Handler run in the loop that takes the calls instead of in a
// goroutine, which is cheaper. Use it only for handlers that take microseconds
// and never wait: all other calls wait for it.
func Inline(handler Handler) Handler {
	return inline{handler}
}

type inline struct{ Handler }

// choose returns the Handler of one method, and whether it is Inline.
func choose(handler Handler, method string) (Handler, bool, error) {
	if methods, ok := handler.(Methods); ok {
		found, err := methods.find(method)
		if err != nil {
			return nil, false, err
		}
		handler = found
	}
	if inside, isInline := handler.(inline); isInline {
		// a stream waits for its reader
		_, waits := inside.Handler.(streamer)
		return inside.Handler, !waits, nil
	}
	return handler, false, nil
}
