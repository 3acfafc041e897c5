// Package nffi handles calls that Lua code makes in OpenResty. The same program
// is a shared library that the nginx worker loads, or a process that it starts:
//
//	func init() {
//		nffi.Serve(nffi.Methods{"hello": nffi.JSON(hello)})
//	}
//
//	func main() { nffi.Main() } // used by a process only
//
//	func hello(ctx context.Context, request Request) (Response, error) { ... }
//
// and in Lua
//
//	local runtime = nffi.load("/path/libhello.so", { codec = "json" })
//	local response, message, code, detail = runtime.methods:hello({ name = "Ada" })
//
// Every call runs in a separate goroutine, unless its handler is Inline.
package nffi

import "context"

// start makes a handler for one configuration. Its first half, which checks the
// configuration, runs while nginx waits; the second, which may take its time,
// does not.
type start func(config []byte) (func(context.Context) (Handler, error), error)

// served is set in an init function, before anything is started.
var served start

// Serve registers the handler of all calls. Call it once, in an init function;
// the runtime then accepts no configuration.
func Serve(handler Handler) {
	serve(func(config []byte) (func(context.Context) (Handler, error), error) {
		if len(config) > 0 {
			return nil, errNoConfig
		}
		return func(context.Context) (Handler, error) { return handler, nil }, nil
	})
}

// ServeConfig is Serve for a runtime with a configuration. It calls New for each
// configuration that Lua loads the runtime with. The handlers that New returns
// serve the calls of that configuration, which wait until New has returned. If
// New fails, the calls fail with its error, and New is called again after 0.1 s,
// doubling to 30 s.
//
// C is what the configuration is decoded into, from JSON: an unknown field is an
// error. With string or []byte it is given as it is. If C has a method
// Validate() error, what that returns is, like any mistake in the configuration,
// an error of nffi.load; it must not wait for anything.
//
// The context ends when the runtime was closed and its last call is answered.
func ServeConfig[C any](New func(ctx context.Context, config C) (Handler, error)) {
	serve(func(bytes []byte) (func(context.Context) (Handler, error), error) {
		decoded, err := DecodeConfig[C](bytes)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (Handler, error) { return New(ctx, decoded) }, nil
	})
}

func serve(start start) {
	if served != nil {
		panic("nffi: Serve was called twice")
	}
	served = start
}
