//go:build go1.23

package nffi

import (
	"context"
	"iter"
)

// JSONSeq is JSONStream for a function that returns an iterator: each value is a
// chunk, and an error ends the stream. When the stream is cancelled, the iterator
// is stopped.
func JSONSeq[Q, T any](f func(ctx context.Context, request Q) iter.Seq2[T, error]) Handler {
	return JSONStream(func(ctx context.Context, request Q, send func(T) error) error {
		var failed error
		f(ctx, request)(func(value T, err error) bool {
			if err == nil {
				err = send(value)
			}
			failed = err
			return err == nil
		})
		return failed
	})
}
