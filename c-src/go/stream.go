package nffi

/*
#include <nffi.h>
*/
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// streamer is a Handler that answers in chunks.
type streamer interface {
	stream(ctx context.Context, request Request, send func([]byte) error) error
}

// BytesStream makes a Handler of a function that answers in chunks, which Lua
// reads one by one with runtime:stream. Send copies a chunk; it waits while Lua
// is slower, and its error means that nobody reads any more: return it.
//
// The end of the function is the end of the stream, and its error, or a panic,
// reaches Lua after the chunks. A plain call gets all chunks at once.
func BytesStream(
	f func(ctx context.Context, request []byte, send func(chunk []byte) error) error,
) Handler {
	return streamFunc(func(ctx context.Context, request Request, send func([]byte) error) error {
		return f(ctx, append([]byte(nil), request.Data...), send)
	})
}

// JSONStream is BytesStream for Go values: each chunk is one value in JSON and
// ends with a newline.
func JSONStream[Q, T any](
	f func(ctx context.Context, request Q, send func(value T) error) error,
) Handler {
	return streamFunc(func(ctx context.Context, request Request, send func([]byte) error) error {
		var value Q
		if len(request.Data) > 0 {
			if err := json.Unmarshal(request.Data, &value); err != nil {
				return fmt.Errorf("request: %w", err)
			}
		}
		return f(ctx, value, func(value T) error {
			chunk, err := json.Marshal(value)
			if err != nil {
				return fmt.Errorf("reply: %w", err)
			}
			return send(append(chunk, '\n'))
		})
	})
}

type streamFunc func(ctx context.Context, request Request, send func([]byte) error) error

func (f streamFunc) stream(
	ctx context.Context, request Request, send func([]byte) error,
) error {
	return f(ctx, request, send)
}

// Handle is what a caller gets who has another Handler call this one.
func (f streamFunc) Handle(ctx context.Context, request Request) ([]byte, error) {
	var all []byte
	err := f(ctx, request, func(chunk []byte) error {
		all = append(all, chunk...)
		return ctx.Err()
	})
	return all, err
}

var errNobodyReads = errors.New("nobody reads the stream any more")

// send gives one chunk, and waits for credit if there is none.
func (c *call) send(chunk []byte) error {
	result := c.write(chunk)
	if result == C.NFFI_WOULD_BLOCK {
		// a note of credit that came before anybody waited for it is lost, so
		// the chunk is tried again once somebody does
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
		return errNobodyReads
	default:
		return errors.New("the chunk cannot be given: " + C.GoString(C.nffi_error_text(result)))
	}
}

func (c *call) write(chunk []byte) C.int {
	return C.nffi_stream_write(C.nffi_task_t(c.ctx.task), pointerTo(chunk), C.size_t(len(chunk)))
}

// endStream answers the call.
func (c *call) endStream() {
	result := C.nffi_stream_end(C.nffi_task_t(c.ctx.task))
	if result != C.NFFI_OK {
		giveUp(c.ctx.task, C.int32_t(result))
	}
}

// awaitCredit gives a channel that says when another chunk may be sent.
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

// tellWritable wakes those whose stream has credit again.
func (r *runtime) tellWritable(writable []cTask) {
	for _, task := range writable {
		r.mutex.Lock()
		credit := r.waiting[uint64(task)]
		r.mutex.Unlock()
		select {
		case credit <- struct{}{}:
		default: // nobody waits, or knows already
		}
	}
}
