package nffitest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nffi.local/nffi"
	"nffi.local/nffi/nffitest"
)

type notFound struct{ name string }

func (e *notFound) Error() string { return "no " + e.name }

type unreadable struct{ read func() }

func (e unreadable) Error() string { e.read(); return "read" }

type endless struct{}

func (e endless) Error() string { return "endless" }
func (e endless) Unwrap() error { return e }

type badAs struct{}

func (badAs) Error() string { return "bad" }
func (badAs) As(any) bool   { panic("no luck") }

// failures is what a handler may return or do, and a part of the message.
var failures = map[string]struct {
	fail func() error
	want string
}{
	"typed nil":      {func() error { var e *notFound; return e }, "the error, a *nffitest_test.notFound, cannot be read: panic: runtime error: invalid memory address"},
	"nil nffi.Error": {func() error { var e *nffi.Error; return e }, "the error, a *nffi.Error, cannot be read: panic: "},
	"wrapped nil":    {func() error { var e *nffi.Error; return fmt.Errorf("wrapped: %w", e) }, "wrapped: "},
	"Error panics":   {func() error { return unreadable{func() { panic("no luck") }} }, "cannot be read: panic: no luck"},
	"Error exits":    {func() error { return unreadable{runtime.Goexit} }, "runtime.Goexit"},
	"As panics":      {func() error { return badAs{} }, "cannot be read: panic: no luck"},
	"endless":        {func() error { return endless{} }, "endless"},
	"panic typed nil": {func() error {
		var e *notFound
		panic(e)
	}, "panic: <nil>"},
	"panic nil": {func() error { panic(any(nil)) }, ""}, // the message depends on the version
	"panic unreadable": {func() error {
		panic(unreadable{func() { panic("no luck") }})
	}, "panic: "},
	"panic exits": {func() error { panic(unreadable{runtime.Goexit}) }, "runtime.Goexit"},
	"exits":       {func() error { runtime.Goexit(); return nil }, "runtime.Goexit"},
	"long":        {func() error { return errors.New(strings.Repeat("x", 100_000_000)) }, "xxx"},
}

func TestAFailingHandlerFailsOnlyItsCall(t *testing.T) {
	plain := nffi.HandlerFunc(func(_ context.Context, r nffi.Request) ([]byte, error) {
		return nil, failures[string(r.Data)].fail()
	})
	rt := nffitest.Serve(t, nffi.Methods{
		"echo":        nffi.HandlerFunc(echo),
		"inline echo": nffi.Inline(nffi.HandlerFunc(echo)),
		"plain":       plain,
		"inline":      nffi.Inline(plain),
		"stream": nffi.BytesStream(func(_ context.Context, b []byte, send send) error {
			_ = send([]byte("first"))
			return failures[string(b)].fail()
		}),
	})
	limited, cancel := context.WithTimeout(background, 30*time.Second)
	defer cancel()
	var all sync.WaitGroup
	begin := func(f func()) {
		all.Add(1)
		go func() {
			defer all.Done()
			f()
		}()
	}
	for name := range failures {
		name, want := name, failures[name].want
		for _, method := range []string{"plain", "inline", "stream"} {
			method := method
			begin(func() {
				_, err := rt.Call(limited, method, []byte(name))
				if failure := failureOf(t, err); failure.Code != "runtime_error" ||
					!strings.Contains(failure.Message, want) {
					t.Errorf("%s, %s: %s: %.200s", name, method, failure.Code, failure.Message)
				}
			})
		}
		for i := 0; i < 4; i++ {
			for _, method := range []string{"echo", "inline echo"} {
				method := method
				begin(func() {
					got, err := rt.Call(limited, method, []byte(name))
					if err != nil || string(got) != name {
						t.Errorf("beside %s: %s, %v", name, got, err)
					}
				})
			}
		}
	}
	all.Wait()
}

func TestAHandlerInTheLoopThatEndsItLeavesTheRestOfItsBatch(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	rt := nffitest.Serve(t, nffi.Methods{
		"wait": nffi.Inline(nffi.HandlerFunc(func(context.Context, nffi.Request) ([]byte, error) {
			close(entered)
			<-release
			return nil, nil
		})),
		"ends": nffi.Inline(nffi.HandlerFunc(ends)),
		"echo": nffi.HandlerFunc(echo),
	})
	limited, cancel := context.WithTimeout(background, 10*time.Second)
	defer cancel()
	var all sync.WaitGroup
	call := func(method string) {
		all.Add(1)
		go func() {
			defer all.Done()
			_, err := rt.Call(limited, method, nil)
			isEnd := err != nil && strings.Contains(err.Error(), "runtime.Goexit")
			if method == "ends" && !isEnd || method != "ends" && err != nil {
				t.Errorf("%s: %v", method, err)
			}
		}()
	}
	call("wait")
	<-entered
	// all of these are one batch
	for i := 0; i < 20; i++ {
		call("ends")
		call("echo")
	}
	time.Sleep(50 * time.Millisecond)
	close(release)
	all.Wait()
}

func TestAStartThatFailsInAnyWayIsAnErrorOfItsCalls(t *testing.T) {
	for name, one := range failures {
		if name == "long" {
			continue
		}
		one := one
		var tries int32
		rt := nffitest.ServeConfig(t, func(context.Context, string) (nffi.Handler, error) {
			if atomic.AddInt32(&tries, 1) == 1 {
				return nil, one.fail()
			}
			return nffi.HandlerFunc(echo), nil
		}, "")
		limited, cancel := context.WithTimeout(background, 10*time.Second)
		_, err := rt.Call(limited, "", nil)
		if failure := failureOf(t, err); !strings.HasPrefix(failure.Message, "the runtime did not start: ") ||
			!strings.Contains(failure.Message, one.want) {
			t.Errorf("%s: %s: %s", name, failure.Code, failure.Message)
		}
		for {
			got, err := rt.Call(limited, "", []byte("x"))
			if err == nil && bytes.Equal(got, []byte("x")) {
				break
			}
			if limited.Err() != nil {
				t.Fatalf("%s: it is not started again: %v", name, err)
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
	}
}

func TestAnActionThatFailsInAnyWayKeepsNoOtherFromRunning(t *testing.T) {
	actions := []func(){
		func() { panic("no luck") },
		func() { panic(unreadable{func() { panic("no luck") }}) },
		runtime.Goexit,
	}
	entered, ran := make(chan struct{}), make(chan struct{})
	rt := nffitest.Serve(t, nffi.HandlerFunc(func(ctx context.Context, _ nffi.Request) ([]byte, error) {
		for _, action := range actions {
			nffi.OnCancel(ctx, action)
		}
		nffi.OnCancel(ctx, func() { close(ran) })
		close(entered)
		<-ran
		return nil, nil
	}))
	ctx, cancel := context.WithCancel(background)
	go func() {
		<-entered
		cancel()
	}()
	_, _ = rt.Call(ctx, "", nil)
	select {
	case <-ran:
	case <-time.After(10 * time.Second):
		t.Error("the last action did not run")
	}
}

func TestAnActionAtTheEndOfARuntimeThatPanicsEndsNoProcess(t *testing.T) {
	ran := make(chan struct{})
	rt := nffitest.ServeConfig(t, func(ctx context.Context, _ string) (nffi.Handler, error) {
		nffi.OnCancel(ctx, func() {
			defer close(ran)
			panic("no luck")
		})
		return nffi.HandlerFunc(echo), nil
	}, "")
	if _, err := rt.Call(background, "", nil); err != nil {
		t.Fatal(err)
	}
	rt.Close()
	<-ran
	time.Sleep(10 * time.Millisecond) // a process that ends does so by now
}
