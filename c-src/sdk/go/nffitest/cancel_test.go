package nffitest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"nffi.local/nffi"
	"nffi.local/nffi/nffitest"
)

func TestACallKnowsItsMethodAndTheTimeLeft(t *testing.T) {
	rt := nffitest.Serve(t, nffi.Methods{
		"left": nffi.JSON(func(ctx context.Context, _ any) (any, error) {
			derived, cancel := context.WithCancel(ctx)
			defer cancel()
			left, ok := nffi.TimeLeft(derived)
			return []any{nffi.Method(derived), left.Seconds(), ok, nffi.Cancelled(derived)}, nil
		}),
	})
	var got []any
	if err := rt.JSON(background, "left", nil, &got); err != nil || got[0] != "left" || got[2] != false {
		t.Errorf("got %v, %v", got, err)
	}
	ctx, cancel := context.WithTimeout(background, time.Hour)
	defer cancel()
	err := rt.JSON(ctx, "left", nil, &got)
	if err != nil || got[1].(float64) < 3500 || got[2] != true || got[3] != false {
		t.Errorf("got %v, %v", got, err)
	}
	over, cancel := context.WithDeadline(background, time.Now().Add(-time.Second))
	defer cancel()
	if left, ok := nffi.TimeLeft(over); left != 0 || !ok || nffi.Method(over) != "" {
		t.Errorf("got %v, %v", left, ok)
	}
}

func TestActionsRunOnceWhenTheCallIsCancelled(t *testing.T) {
	ran := make(chan string, 10)
	started := make(chan struct{})
	after := make(chan context.Context, 1)
	rt := nffitest.Serve(t, nffi.Methods{
		"wait": nffi.Bytes(func(ctx context.Context, _ []byte) ([]byte, error) {
			nffi.OnCancel(ctx, func() { panic("not the end of the process") })
			nffi.OnCancel(ctx, func() { ran <- "unregistered" })()
			nffi.OnCancel(ctx, func() { ran <- "first" })
			nffi.OnCancel(ctx, func() { ran <- "last" })
			close(started)
			for !nffi.Cancelled(ctx) {
				time.Sleep(time.Millisecond)
			}
			nffi.OnCancel(ctx, func() { ran <- "late" })
			<-ctx.Done()
			after <- ctx
			return nil, nil
		}),
	})
	ctx, cancel := context.WithCancel(background)
	go func() {
		<-started
		cancel()
	}()
	_, _ = rt.Call(ctx, "wait", nil)
	var names []string
	for range [3]int{} {
		names = append(names, <-ran)
	}
	if all := strings.Join(names, " "); !strings.Contains(all, "late") || len(ran) > 0 {
		t.Errorf("ran %s", all)
	}
	// after the response
	nffi.OnCancel(<-after, func() { ran <- "too late" })
	time.Sleep(20 * time.Millisecond)
	if len(ran) > 0 {
		t.Errorf("ran %s", <-ran)
	}
}

func TestACallThatEndsRunsNoAction(t *testing.T) {
	ran := make(chan string, 1)
	var kept context.Context
	rt := nffitest.Serve(t, nffi.Methods{
		"": nffi.Bytes(func(ctx context.Context, _ []byte) ([]byte, error) {
			kept = ctx
			nffi.OnCancel(ctx, func() { ran <- "too late" })
			return nil, nil
		}),
	})
	if _, err := rt.Call(background, "", nil); err != nil {
		t.Error(err)
	}
	time.Sleep(20 * time.Millisecond)
	if len(ran) > 0 || !nffi.Cancelled(kept) {
		t.Errorf("%d actions ran; cancelled: %v", len(ran), nffi.Cancelled(kept))
	}
}

func TestOnCancelWatchesAnyContext(t *testing.T) {
	ran := make(chan string, 2)
	ctx, cancel := context.WithCancel(background)
	nffi.OnCancel(ctx, func() { ran <- "stopped" })()
	nffi.OnCancel(ctx, func() { ran <- "ended" })
	nffi.OnCancel(background, func() { ran <- "never" })()
	cancel()
	if got := <-ran; got != "ended" || !nffi.Cancelled(ctx) || nffi.Cancelled(background) {
		t.Errorf("got %s", got)
	}
}
