package nffitest_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nffi.local/nffi"
	"nffi.local/nffi/nffitest"
)

// seen records how the context of the one call has ended.
func untilDone(seen chan<- error) nffi.Handler {
	return nffi.HandlerFunc(func(ctx context.Context, _ nffi.Request) ([]byte, error) {
		// what is derived from a context ends with it
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		<-derived.Done()
		seen <- ctx.Err()
		return nil, ctx.Err()
	})
}

func TestTheDeadlineOfACallIsThatOfItsContext(t *testing.T) {
	seen := make(chan error, 1)
	rt := nffitest.Serve(t, nffi.Methods{
		"wait": untilDone(seen),
		"left": nffi.JSON(func(ctx context.Context, _ any) (bool, error) {
			deadline, has := ctx.Deadline()
			left := time.Until(deadline)
			return has && left > 50*time.Second && left <= time.Minute, nil
		}),
		"none": nffi.JSON(func(ctx context.Context, _ any) (bool, error) {
			_, has := ctx.Deadline()
			return has, nil
		}),
	})
	minute, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	var yes, no bool
	if err := rt.JSON(minute, "left", nil, &yes); err != nil || !yes {
		t.Error(yes, err)
	}
	if err := rt.JSON(background, "none", nil, &no); err != nil || no {
		t.Error(no, err)
	}
	short, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	// either the handler's response or the end of the caller's patience is first
	if _, err := rt.Call(short, "wait", nil); err == nil {
		t.Error("no failure")
	}
	if err := <-seen; err != context.DeadlineExceeded {
		t.Errorf("the handler saw %v", err)
	}
}

func TestACallThatIsOverTimeFails(t *testing.T) {
	release := make(chan struct{})
	rt := nffitest.Serve(t, nffi.HandlerFunc(func(context.Context, nffi.Request) ([]byte, error) {
		<-release
		return nil, nil
	}))
	ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()
	_, err := rt.Call(ctx, "", nil)
	if failure := failureOf(t, err); failure.Code != "timeout" || rt.Unanswered() != 1 {
		t.Errorf("%+v, %d unanswered", failure, rt.Unanswered())
	}
	close(release)
}

func TestACallerThatGoesEndsTheContext(t *testing.T) {
	seen, entered := make(chan error, 1), make(chan struct{})
	waits := untilDone(seen)
	rt := nffitest.Serve(t, nffi.HandlerFunc(func(ctx context.Context, r nffi.Request) ([]byte, error) {
		close(entered)
		return waits.Handle(ctx, r)
	}))
	ctx, cancel := context.WithCancel(background)
	go func() {
		<-entered
		cancel()
	}()
	if _, err := rt.Call(ctx, "", nil); err != context.Canceled {
		t.Error(err)
	}
	if err := <-seen; err != context.Canceled {
		t.Errorf("the handler saw %v", err)
	}
}

func TestACallerThatWentBeforeAnybodyLookedIsSeen(t *testing.T) {
	seen, entered, gone := make(chan error, 1), make(chan struct{}), make(chan struct{})
	rt := nffitest.Serve(t, nffi.HandlerFunc(func(ctx context.Context, _ nffi.Request) ([]byte, error) {
		close(entered)
		<-gone
		time.Sleep(20 * time.Millisecond) // the loop has taken the note by then
		seen <- ctx.Err()
		return nil, nil
	}))
	ctx, cancel := context.WithCancel(background)
	go func() {
		<-entered
		cancel()
	}()
	_, _ = rt.Call(ctx, "", nil)
	close(gone)
	if err := <-seen; err != context.Canceled {
		t.Errorf("the handler saw %v", err)
	}
}

func TestTheContextOfACallEndsWithIt(t *testing.T) {
	kept := make(chan context.Context, 1)
	rt := nffitest.Serve(t, nffi.HandlerFunc(func(ctx context.Context, _ nffi.Request) ([]byte, error) {
		if ctx.Err() != nil {
			t.Error("ended while it runs")
		}
		kept <- ctx
		return nil, nil
	}))
	if _, err := rt.Call(background, "", nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-(<-kept).Done():
	case <-time.After(5 * time.Second):
		t.Error("it has not ended")
	}
}

func TestClosingWaitsForCallsUnderWay(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var life context.Context
	rt := nffitest.ServeConfig(t, func(ctx context.Context, _ string) (nffi.Handler, error) {
		life = ctx
		return nffi.HandlerFunc(func(context.Context, nffi.Request) ([]byte, error) {
			close(entered)
			<-release
			return []byte("done"), nil
		}), nil
	}, nil)
	response := make(chan string)
	go func() {
		got, err := rt.Call(background, "", nil)
		if err != nil {
			t.Error(err)
		}
		response <- string(got)
	}()
	<-entered
	rt.Close()
	if _, err := rt.Call(background, "", nil); failureOf(t, err).Code != "closed" {
		t.Error(err)
	}
	select {
	case <-rt.Ended():
		t.Error("ended with a call under way")
	case <-time.After(50 * time.Millisecond):
	}
	if life.Err() != nil {
		t.Error("its context has ended with a call under way")
	}
	close(release)
	if got := <-response; got != "done" {
		t.Error(got)
	}
	<-rt.Ended()
	if life.Err() == nil {
		t.Error("its context has not ended")
	}
}

func TestARuntimeThatDoesNotStartIsTriedAgain(t *testing.T) {
	var tries int32
	release := make(chan struct{})
	rt := nffitest.ServeConfig(t, func(context.Context, string) (nffi.Handler, error) {
		switch atomic.AddInt32(&tries, 1) {
		case 1:
			return nil, errors.New("no server")
		case 2:
			panic("no luck")
		}
		<-release
		return nffi.HandlerFunc(echo), nil
	}, nil)
	for _, reason := range []string{"no server", "panic: no luck"} {
		for i := 0; i < 2; i++ {
			if _, err := rt.Call(background, "", nil); err == nil ||
				err.Error() != "the runtime did not start: "+reason {
				t.Error(err)
			}
		}
		for tried := atomic.LoadInt32(&tries); tried == atomic.LoadInt32(&tries); {
			time.Sleep(time.Millisecond)
		}
	}
	// a call waits for the try that works
	time.AfterFunc(20*time.Millisecond, func() { close(release) })
	if got, err := rt.Call(background, "", []byte("x")); string(got) != "x" {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestTwoConfigurationsAreTwoRuntimes(t *testing.T) {
	newHandler := func(_ context.Context, prefix string) (nffi.Handler, error) {
		return nffi.Bytes(func(_ context.Context, b []byte) ([]byte, error) {
			return append([]byte(prefix), b...), nil
		}), nil
	}
	a, b := nffitest.ServeConfig(t, newHandler, "a:"), nffitest.ServeConfig(t, newHandler, "b:")
	for rt, want := range map[*nffitest.Runtime]string{a: "a:x", b: "b:x"} {
		if got, err := rt.Call(background, "", []byte("x")); string(got) != want {
			t.Errorf("got %s, %v", got, err)
		}
	}
}

func TestNothingServedIsSaid(t *testing.T) {
	_, err := nffitest.TryLoad(t, nil)
	if err == nil || !strings.Contains(err.Error(), "call nffi.Serve in an init function") {
		t.Error(err)
	}
}
