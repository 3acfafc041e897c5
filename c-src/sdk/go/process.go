package nffi

/*
#include <stdlib.h>
#include <nffi.h>
*/
import "C"

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"unsafe"
)

// Main is the main function of a runtime that is a process. It serves until the
// worker ends it, and does not return. A library does not call it.
func Main() {
	var pointer *C.nffi_queue_t
	if result := C.nffi_attach(&pointer); result != C.NFFI_OK {
		fmt.Fprintf(os.Stderr, "%s: %s\n", os.Args[0], C.GoString(C.nffi_error_text(result)))
		if result == C.NFFI_NOT_A_PROCESS {
			fmt.Fprintln(os.Stderr, "start it from Lua in nginx: "+
				`nffi.load("process", { program = "/path/of/it" })`)
		}
		os.Exit(2)
	}
	// The worker ends us, not the terminal or the service manager it runs under. The signals
	// are not ignored: programs that a handler starts would inherit that.
	ending := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP}
	signal.Notify(make(chan os.Signal, 1), ending...)

	runtime := newRuntime(newQueue(unsafe.Pointer(pointer)))
	handler, err := startProcess(runtime.ctx, configOf(pointer))
	if err != nil {
		text := []byte(err.Message)
		C.nffi_attach_failed(pointer, pointerTo(text), C.size_t(len(text)))
		os.Exit(1)
	}
	if C.nffi_attach_ready(pointer) != C.NFFI_OK {
		os.Exit(1)
	}
	go runtime.serve(handler, nil)
	<-runtime.ended
	os.Exit(0)
}

// configOf returns the configuration that Lua passed; nil if there is none.
func configOf(queue *C.nffi_queue_t) []byte {
	var size C.size_t
	bytes := C.nffi_queue_config(queue, &size)
	if bytes == nil {
		return nil
	}
	return C.GoBytes(bytes, C.int(size))
}

// startProcess has no second try: the worker starts the process again.
func startProcess(ctx context.Context, config []byte) (handler Handler, failed *Error) {
	if served == nil {
		return nil, describe(errNotServe)
	}
	failed = guard(func() error {
		make, err := served(config)
		if err != nil {
			return err
		}
		handler, err = make(ctx)
		return err
	})
	return handler, failed
}
