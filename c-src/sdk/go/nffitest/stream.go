package nffitest

import (
	"context"
	"io"
)

// Stream is a response in chunks, like the result of runtime:stream in Lua.
type Stream struct {
	begun begun
	ended bool
}

// streamWindow is how many bytes a handler may be ahead, as in Lua.
const streamWindow = 64 << 10

// Stream calls a method whose response is read in chunks. Close it.
func (r *Runtime) Stream(ctx context.Context, method string, payload []byte) (*Stream, error) {
	begun, err := r.host.begin(ctx, method, payload, streamWindow)
	if err != nil {
		return nil, err
	}
	return &Stream{begun: begun}, nil
}

// Next waits for the next chunk. At the end it returns io.EOF, or the error that
// ended the stream.
func (s *Stream) Next() ([]byte, error) {
	if !s.ended {
		if chunk, more := s.begun.read(); more {
			return chunk, nil
		}
		s.ended = true
	}
	if _, err := s.begun.wait(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

// Close closes the stream. The handler is notified if it has not finished.
func (s *Stream) Close() { s.begun.free() }
