package nffi

/*
#include <nffi.h>
*/
import "C"

import (
	"context"
	"errors"
	"sync"
)

// streamer is a Handler that responds in chunks, which libnffi collects for a
// plain call. Its Handle is for a Handler that wraps it.
type streamer interface {
	Handler
	stream(ctx context.Context, request Request, send func([]byte) error) error
}

// handleStream returns all chunks of a streamer as one response.
func handleStream(ctx context.Context, s streamer, request Request) ([]byte, error) {
	all := []byte{}
	err := s.stream(ctx, request, func(chunk []byte) error {
		all = append(all, chunk...)
		return ctx.Err()
	})
	return all, err
}

// BytesStream creates a Handler from a function that responds in chunks, which
// Lua reads one by one with runtime:stream. Send copies a chunk. It waits while
// Lua is slower. Several goroutines may call it. It fails when the stream is
// cancelled: return its error.
//
// The stream ends when the function returns. Its error, or a panic, reaches Lua
// after the chunks. A plain call gets all chunks in order.
func BytesStream(
	f func(ctx context.Context, request []byte, send func(chunk []byte) error) error,
) Handler {
	return bytesStream(f)
}

type bytesStream func(ctx context.Context, request []byte, send func([]byte) error) error

func (f bytesStream) stream(ctx context.Context, request Request, send func([]byte) error) error {
	return f(ctx, append([]byte(nil), request.Data...), send)
}

func (f bytesStream) Handle(ctx context.Context, request Request) ([]byte, error) {
	return handleStream(ctx, f, request)
}

// JSONStream is BytesStream for Go values: each chunk is one value in JSON and
// ends with a newline. A plain call gets a list of the values.
func JSONStream[Q, T any](
	f func(ctx context.Context, request Q, send func(value T) error) error,
) Handler {
	return jsonStream[Q, T]{serve: f, decode: decoderOf[Q]()}
}

type jsonStream[Q, T any] struct {
	serve  func(ctx context.Context, request Q, send func(T) error) error
	decode func(data []byte) (Q, error)
}

func (s jsonStream[Q, T]) stream(
	ctx context.Context, request Request, send func([]byte) error,
) error {
	value, err := s.decode(request.Data)
	if err != nil {
		return err
	}
	separator := byte('[')
	var order sync.Mutex // goroutines may send at the same time
	err = s.serve(ctx, value, func(value T) error {
		chunk, err := encode(value)
		if err != nil {
			return err
		}
		if request.streamed {
			return send(append(chunk, '\n'))
		}
		order.Lock()
		defer order.Unlock()
		chunk = append([]byte{separator}, chunk...)
		if err := send(chunk); err != nil {
			return err
		}
		separator = ','
		return nil
	})
	if err != nil || request.streamed {
		return err
	}
	if separator == '[' {
		return send([]byte("[]"))
	}
	return send([]byte{']'})
}

func (s jsonStream[Q, T]) Handle(ctx context.Context, request Request) ([]byte, error) {
	return handleStream(ctx, s, request)
}

var errStreamCancelled = errors.New("the stream was cancelled")

// send sends one chunk, and waits for credit if there is none. Goroutines that
// send at the same time take turns.
func (c *call) send(chunk []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	result := c.write(chunk)
	if result == C.NFFI_WOULD_BLOCK {
		// a note of credit that arrived before this call waited for it is lost,
		// so try the chunk again after registering
		credit := c.runtime.awaitCredit(c.ctx.task)
		defer c.runtime.forgetCredit(c.ctx.task)
		for result = c.write(chunk); result == C.NFFI_WOULD_BLOCK; result = c.write(chunk) {
			select {
			case <-credit:
			case <-c.ctx.Done():
				return c.ctx.Err()
			}
		}
	}
	switch result {
	case C.NFFI_OK:
		return nil
	case C.NFFI_CANCELLED:
		if err := c.ctx.Err(); err != nil {
			return err
		}
		return errStreamCancelled
	default:
		return errors.New("the chunk cannot be sent: " + C.GoString(C.nffi_error_text(result)))
	}
}

func (c *call) write(chunk []byte) C.int {
	return C.nffi_stream_write(C.nffi_task_t(c.ctx.task), pointerTo(chunk), C.size_t(len(chunk)))
}

// endStream ends the stream, or responds with the collected chunks.
func (c *call) endStream() {
	result := C.nffi_stream_end(C.nffi_task_t(c.ctx.task))
	if result != C.NFFI_OK {
		reportUnsent(c.ctx.task, C.int32_t(result))
	}
}

// awaitCredit returns a channel that is closed when another chunk may be sent.
func (r *runtime) awaitCredit(task uint64) <-chan struct{} {
	credit := make(chan struct{}, 1)
	r.mutex.Lock()
	r.waiting[task] = credit
	r.mutex.Unlock()
	return credit
}

func (r *runtime) forgetCredit(task uint64) {
	r.mutex.Lock()
	delete(r.waiting, task)
	r.mutex.Unlock()
}

// notifyWritable wakes those whose stream has credit again.
func (r *runtime) notifyWritable(writable []cTask) {
	for _, task := range writable {
		r.mutex.Lock()
		credit := r.waiting[uint64(task)]
		r.mutex.Unlock()
		select {
		case credit <- struct{}{}:
		default: // no waiter, or it was already notified
		}
	}
}
