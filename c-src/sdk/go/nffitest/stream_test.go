package nffitest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"nffi.local/nffi"
	"nffi.local/nffi/nffitest"
)

type send = func([]byte) error

// readAll returns the chunks and the error that ended the stream.
func readAll(t *testing.T, rt *nffitest.Runtime, method, payload string) ([]string, error) {
	t.Helper()
	stream, err := rt.Stream(background, method, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var chunks []string
	for {
		chunk, err := stream.Next()
		if err != nil {
			return chunks, err
		}
		chunks = append(chunks, string(chunk))
	}
}

func TestChunksArriveInTheirOrderThenTheEnd(t *testing.T) {
	rt := nffitest.Serve(t, nffi.Methods{
		"count": nffi.BytesStream(func(_ context.Context, _ []byte, send send) error {
			for i := 0; i < 1000; i++ {
				if err := send([]byte(fmt.Sprint(i))); err != nil {
					return err
				}
			}
			return nil
		}),
		"values": nffi.JSONStream(func(_ context.Context, n int, send func(int) error) error {
			if err := send(n); err != nil {
				return err
			}
			return send(n + 1)
		}),
		"fails": nffi.BytesStream(func(_ context.Context, _ []byte, send send) error {
			_ = send([]byte("first"))
			return errors.New("no more")
		}),
		"panics": nffi.Inline(nffi.BytesStream(func(_ context.Context, _ []byte, send send) error {
			_ = send(nil)
			panic("no luck")
		})),
		"plain": nffi.HandlerFunc(echo),
	})
	chunks, err := readAll(t, rt, "count", "")
	if err != io.EOF || len(chunks) != 1000 || chunks[999] != "999" {
		t.Errorf("%d chunks, %v", len(chunks), err)
	}
	for method, want := range map[string]string{
		"values": `["7\n" "8\n"] EOF`,
		"fails":  `["first"] no more`,
		"panics": `[""] panic: no luck`,
		"plain":  `["7"] EOF`,
	} {
		chunks, err := readAll(t, rt, method, "7")
		if got := fmt.Sprintf("%q %v", chunks, err); got != want {
			t.Errorf("%s: got %s", method, got)
		}
	}
	if got, err := rt.Call(background, "values", []byte("1")); string(got) != "[1,2]" {
		t.Errorf("a plain call: %q, %v", got, err)
	}
	if _, err := rt.Call(background, "values", []byte("x")); err == nil {
		t.Error("a bad request is no error")
	}
}

func TestAWriterWaitsForItsReader(t *testing.T) {
	var sent int32
	rt := nffitest.Serve(t, nffi.Methods{
		"": nffi.HandlerFunc(echo),
		"stream": nffi.BytesStream(func(_ context.Context, _ []byte, send send) error {
			for i := 0; i < 100; i++ {
				if err := send(bytes.Repeat([]byte{byte(i)}, 20_000)); err != nil {
					return err
				}
				atomic.AddInt32(&sent, 1)
			}
			return nil
		}),
	})
	stream, err := rt.Stream(background, "stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	time.Sleep(50 * time.Millisecond)
	if _, err := rt.Call(background, "", nil); err != nil {
		t.Error(err)
	}
	if ahead := atomic.LoadInt32(&sent); ahead < 1 || ahead > 10 {
		t.Errorf("%d chunks were sent that nobody has read", ahead)
	}
	for i := 0; i < 100; i++ {
		chunk, err := stream.Next()
		if err != nil || len(chunk) != 20_000 || chunk[0] != byte(i) {
			t.Fatalf("chunk %d: %d bytes, %v", i, len(chunk), err)
		}
	}
	if _, err := stream.Next(); err != io.EOF {
		t.Error(err)
	}
}

func TestGoroutinesMaySendAtTheSameTime(t *testing.T) {
	const goroutines, each = 8, 100
	rt := nffitest.Serve(t, nffi.Methods{
		"values": nffi.JSONStream(func(_ context.Context, _ any, send func(int) error) error {
			failed := make(chan error, goroutines)
			for i := 0; i < goroutines; i++ {
				go func() {
					var err error
					for n := 0; n < each && err == nil; n++ {
						err = send(n)
					}
					failed <- err
				}()
			}
			var err error
			for i := 0; i < goroutines; i++ {
				if one := <-failed; one != nil {
					err = one
				}
			}
			return err
		}),
	})
	ctx, cancel := context.WithTimeout(background, 20*time.Second)
	defer cancel()
	stream, err := rt.Stream(ctx, "values", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for i := 0; i < goroutines*each; i++ {
		if _, err := stream.Next(); err != nil {
			t.Fatalf("after %d chunks: %v", i, err)
		}
	}
	if _, err := stream.Next(); err != io.EOF {
		t.Error(err)
	}
	var values []int
	if err := rt.JSON(background, "values", nil, &values); err != nil || len(values) != goroutines*each {
		t.Error(len(values), err)
	}
}

func TestAReaderThatGoesEndsTheWriter(t *testing.T) {
	ended := make(chan error, 1)
	rt := nffitest.Serve(t, nffi.BytesStream(func(_ context.Context, _ []byte, send send) error {
		for {
			if err := send(make([]byte, 1000)); err != nil {
				ended <- err
				return err
			}
		}
	}))
	stream, err := rt.Stream(background, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Next(); err != nil {
		t.Error(err)
	}
	stream.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the writer goes on")
	}
	for until := time.Now().Add(5 * time.Second); rt.Unanswered() > 0; {
		if time.Now().After(until) {
			t.Fatal("the stream was not ended")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAMessageForTheLogNeedsACall(t *testing.T) {
	rt := nffitest.Serve(t, nffi.JSON(func(ctx context.Context, _ any) (bool, error) {
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		return nffi.Logf(derived, nffi.LevelNotice, "logged by %s", "a test"), nil
	}))
	var logged bool
	if err := rt.JSON(background, "", nil, &logged); err != nil || !logged {
		t.Error(logged, err)
	}
	if nffi.Logf(background, nffi.LevelNotice, "nobody's") {
		t.Error("logged without a call")
	}
}
