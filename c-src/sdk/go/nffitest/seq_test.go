//go:build go1.23

package nffitest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"nffi.local/nffi"
	"nffi.local/nffi/nffitest"
)

func TestAnIteratorIsAStream(t *testing.T) {
	count := func(_ context.Context, n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := 1; i <= n; i++ {
				if !yield(i, nil) {
					return
				}
			}
			yield(0, errors.New("counted"))
		}
	}
	rt := nffitest.Serve(t, nffi.JSONSeq(count))
	chunks, err := readAll(t, rt, "", "3")
	if got := fmt.Sprintf("%q %v", chunks, err); got != `["1\n" "2\n" "3\n"] counted` {
		t.Error(got)
	}
}
