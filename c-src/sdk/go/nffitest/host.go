package nffitest

/*
#include <stdlib.h>
#include <nffi_testhost.h>
*/
import "C"

import (
	"context"
	"fmt"
	"math"
	"time"
	"unsafe"
)

// host is the worker's side of one queue, as libnffi_testhost has it.
type host struct{ pointer *C.nffi_testhost_t }

func newHost(maxQueue int) (host, error) {
	var h host
	if rc := C.nffi_testhost_create(&h.pointer, C.uint32_t(maxQueue)); rc != C.NFFI_OK {
		return h, fmt.Errorf("nffitest: no queue: %s", C.GoString(C.nffi_error_text(rc)))
	}
	return h, nil
}

func (h host) queue() unsafe.Pointer { return unsafe.Pointer(C.nffi_testhost_queue(h.pointer)) }

func (h host) close() { C.nffi_testhost_close(h.pointer) }

func (h host) unanswered() int { return int(C.nffi_testhost_unanswered(h.pointer)) }

// begun is a call on its way.
type begun struct {
	pointer *C.nffi_testhost_call_t
	stop    func()
}

// begin makes one call; window is the window of a stream, or 0.
func (h host) begin(
	ctx context.Context, method string, payload []byte, window int,
) (begun, error) {
	text := C.CString(method)
	defer C.free(unsafe.Pointer(text))
	var data unsafe.Pointer
	if len(payload) > 0 {
		data = unsafe.Pointer(&payload[0])
	} else if payload != nil {
		data = unsafe.Pointer(text)
	}
	var b begun
	var rc C.int
	if window > 0 {
		rc = C.nffi_testhost_stream(h.pointer, text, C.size_t(len(method)), data,
			C.size_t(len(payload)), timeoutOf(ctx), C.uint32_t(window), &b.pointer)
	} else {
		rc = C.nffi_testhost_call(h.pointer, text, C.size_t(len(method)), data,
			C.size_t(len(payload)), timeoutOf(ctx), &b.pointer)
	}
	if rc != C.NFFI_OK {
		return b, &Error{Message: C.GoString(C.nffi_error_text(rc)), Code: codeOf(rc)}
	}
	b.stop = cancelWith(ctx, b.pointer)
	return b, nil
}

// read returns the next chunk, or false at the end.
func (b begun) read() ([]byte, bool) {
	var data unsafe.Pointer
	var size C.size_t
	if C.nffi_testhost_read(b.pointer, &data, &size) == 0 {
		return nil, false
	}
	return C.GoBytes(data, C.int(size)), true
}

// wait returns the result of the call.
func (b begun) wait() ([]byte, error) {
	var response C.nffi_testhost_response_t
	C.nffi_testhost_wait(b.pointer, &response)
	return resultOf(&response)
}

func (b begun) free() {
	b.stop()
	C.nffi_testhost_free(b.pointer)
}

// call makes one call and waits for its end.
func (h host) call(ctx context.Context, method string, payload []byte) ([]byte, error) {
	b, err := h.begin(ctx, method, payload, 0)
	if err != nil {
		return nil, err
	}
	defer b.free()
	return b.wait()
}

// timeoutOf is the time that a context leaves in milliseconds, at least 1; 0 is none.
func timeoutOf(ctx context.Context) C.uint32_t {
	deadline, has := ctx.Deadline()
	if !has {
		return 0
	}
	left := time.Until(deadline).Milliseconds()
	if left < 1 {
		left = 1
	}
	if left > math.MaxInt32 {
		left = math.MaxInt32
	}
	return C.uint32_t(left)
}

// cancelWith cancels the call if the context is cancelled, until stop returns.
func cancelWith(ctx context.Context, begun *C.nffi_testhost_call_t) (stop func()) {
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ended:
		case <-ctx.Done():
			if ctx.Err() == context.Canceled {
				C.nffi_testhost_cancel(begun)
			}
		}
	}()
	return func() {
		close(ended)
		<-stopped
	}
}

func resultOf(response *C.nffi_testhost_response_t) ([]byte, error) {
	data := C.GoBytes(response.data, C.int(response.size))
	switch response.end {
	case C.NFFI_TESTHOST_RESPONSE:
		if response.rc == 0 {
			return data, nil
		}
		return nil, &Error{Message: string(data), Code: "runtime_error", RC: int(response.rc)}
	case C.NFFI_TESTHOST_ERROR:
		detail := C.GoBytes(response.detail, C.int(response.detail_size))
		return nil, &Error{Message: string(data), Code: "runtime_error", Detail: string(detail)}
	case C.NFFI_TESTHOST_TIMEOUT:
		return nil, &Error{Message: "timeout", Code: "timeout"}
	case C.NFFI_TESTHOST_CANCELLED:
		return nil, context.Canceled
	default:
		return nil, &Error{Message: "the runtime violated the queue protocol", Code: "closed"}
	}
}

func codeOf(rc C.int) string {
	switch rc {
	case C.NFFI_QUEUE_FULL:
		return "queue_full"
	case C.NFFI_CLOSED:
		return "closed"
	default:
		return "invalid"
	}
}
