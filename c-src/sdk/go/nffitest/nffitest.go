// Package nffitest runs a runtime in a test, without nginx: a real queue of
// libnffi, and calls as Lua makes them.
//
//	func TestHello(t *testing.T) {
//		runtime := nffitest.Load(t, Config{Greeting: "hello"})
//		var response Response
//		err := runtime.JSON(context.Background(), "hello", Request{Name: "Ada"}, &response)
//		...
//	}
package nffitest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"nffi.local/nffi"
)

// Runtime corresponds to the result of nffi.load in Lua.
type Runtime struct {
	host  host
	ended <-chan struct{}
}

// Error is the error of a failed call, as Lua gets it.
type Error struct {
	Message string
	Code    string // "runtime_error", "timeout", "queue_full", "closed"
	Detail  string // a stack, say
	RC      int    // nffi.Error.Code
}

func (e *Error) Error() string { return e.Message }

// Load starts the runtime that the program registers with nffi.Serve or
// nffi.ServeConfig in its init function, as nginx does. The configuration is a
// string, bytes, nil, or a value that is sent as JSON. The runtime is closed when
// the test ends.
func Load(t testing.TB, configuration any) *Runtime {
	t.Helper()
	runtime, err := TryLoad(t, configuration)
	if err != nil {
		t.Fatal(err)
	}
	return runtime
}

// TryLoad is Load for a configuration that may be refused.
func TryLoad(t testing.TB, configuration any) (*Runtime, error) {
	t.Helper()
	make, err := nffi.TestDoor{}.Registered(configBytes(t, configuration))
	if err != nil {
		return nil, err
	}
	return run(t, 0, make), nil
}

// Serve runs a handler.
func Serve(t testing.TB, handler nffi.Handler) *Runtime {
	t.Helper()
	return run(t, 0, func(context.Context) (nffi.Handler, error) { return handler, nil })
}

// ServeConfig runs what a function makes for a configuration, as
// nffi.ServeConfig does.
func ServeConfig[C any](
	t testing.TB, New func(context.Context, C) (nffi.Handler, error), configuration any,
) *Runtime {
	t.Helper()
	decoded, err := nffi.DecodeConfig[C](configBytes(t, configuration))
	if err != nil {
		t.Fatal(err)
	}
	return run(t, 0, func(ctx context.Context) (nffi.Handler, error) { return New(ctx, decoded) })
}

func run(t testing.TB, maxQueue int, make func(context.Context) (nffi.Handler, error)) *Runtime {
	t.Helper()
	host, err := newHost(maxQueue)
	if err != nil {
		t.Fatal(err)
	}
	runtime := &Runtime{host: host, ended: nffi.TestDoor{}.Start(host.queue(), make)}
	t.Cleanup(func() {
		runtime.host.close()
		select {
		case <-runtime.ended:
		case <-time.After(10 * time.Second):
			t.Errorf("nffitest: %d calls have not ended after 10 s", runtime.host.unanswered())
		}
	})
	return runtime
}

func configBytes(t testing.TB, configuration any) []byte {
	t.Helper()
	switch configuration := configuration.(type) {
	case nil:
		return nil
	case string:
		return []byte(configuration)
	case []byte:
		return configuration
	}
	bytes, err := json.Marshal(configuration)
	if err != nil {
		t.Fatalf("nffitest: configuration: %v", err)
	}
	return bytes
}

// Call calls a method with bytes; "" is runtime:call(bytes) in Lua. The deadline
// of the context is the timeout of the call. Cancelling the context simulates a
// disconnected caller. The error is an *Error or context.Canceled.
func (r *Runtime) Call(ctx context.Context, method string, payload []byte) ([]byte, error) {
	return r.host.call(ctx, method, payload)
}

// JSON calls a method with a value and stores the response where response points, as
// runtime.methods in Lua does with the codec "json".
func (r *Runtime) JSON(ctx context.Context, method string, request, response any) error {
	payload, err := json.Marshal(request)
	if err != nil {
		return err
	}
	bytes, err := r.Call(ctx, method, payload)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(bytes, response); err != nil {
		return fmt.Errorf("%s is no response of the expected type: %w", bytes, err)
	}
	return nil
}

// Close ends the runtime as runtime:close() does in Lua: calls under way are
// still answered.
func (r *Runtime) Close() { r.host.close() }

// Ended is closed when the runtime has ended.
func (r *Runtime) Ended() <-chan struct{} { return r.ended }

// Unanswered returns the number of calls without a response, cancelled ones
// included.
func (r *Runtime) Unanswered() int { return r.host.unanswered() }
