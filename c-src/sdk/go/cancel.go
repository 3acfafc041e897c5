package nffi

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Method returns the name of the method that Lua called; empty for
// runtime:call(bytes), and for a context that is not the context of a call.
func Method(ctx context.Context) string {
	if call := callOf(ctx); call != nil {
		return call.method
	}
	return ""
}

// TimeLeft returns the time until the deadline of the context, at least 0; false
// if there is none.
func TimeLeft(ctx context.Context) (time.Duration, bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0, false
	}
	if left := time.Until(deadline); left > 0 {
		return left, true
	}
	return 0, true
}

// Cancelled reports whether the call was cancelled (the client has disconnected,
// the Lua thread was killed, the call has timed out) or has its response. It is
// cheaper than ctx.Err() in a handler that uses its context for nothing else.
func Cancelled(ctx context.Context) bool {
	call := callOf(ctx)
	if call == nil {
		return ctx.Err() != nil
	}
	return call.isCancelled() || ctx != context.Context(call) && ctx.Err() != nil
}

// OnCancel calls f once, in a goroutine, when the call of the context is
// cancelled, or now if it is already cancelled; not after the response. The
// returned function unregisters f. With a context that is not the context of a
// call, f is called when that context ends.
func OnCancel(ctx context.Context, f func()) (stop func()) {
	if call := callOf(ctx); call != nil {
		return call.onCancel(f)
	}
	stopped := make(chan struct{})
	var decided int32 // 1: f is called, or never
	if ctx.Done() != nil {
		go func() {
			select {
			case <-ctx.Done():
				if atomic.CompareAndSwapInt32(&decided, 0, 1) {
					guarded(ctx, f)
				}
			case <-stopped:
			}
		}()
	}
	return func() {
		if atomic.CompareAndSwapInt32(&decided, 0, 1) {
			close(stopped)
		}
	}
}

func callOf(ctx context.Context) *callContext {
	call, _ := ctx.Value(callKey{}).(*callContext)
	return call
}

func (c *callContext) isCancelled() bool {
	c.mutex.Lock()
	known := c.cancelled || c.over
	c.mutex.Unlock()
	return known || isCancelled(c.task)
}

func (c *callContext) onCancel(f func()) (stop func()) {
	c.watched() // the runtime reports cancellations of watched calls
	action := &f
	c.mutex.Lock()
	defer c.mutex.Unlock()
	switch {
	case c.over:
	case c.cancelled:
		go c.run([]*func(){action})
	default:
		c.actions = append(c.actions, action)
	}
	return func() { c.remove(action) }
}

func (c *callContext) remove(action *func()) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for i, one := range c.actions {
		if one == action {
			c.actions = append(c.actions[:i:i], c.actions[i+1:]...)
			return
		}
	}
}

// run calls actions one by one. One that ends its goroutine must not keep the
// others from running.
func (c *callContext) run(actions []*func()) {
	defer func() {
		if len(actions) > 0 {
			go c.run(actions)
		}
	}()
	for len(actions) > 0 {
		action := actions[0]
		actions = actions[1:]
		guarded(c, *action)
	}
}

// guarded calls an action; a panic of it must not end the process.
func guarded(ctx context.Context, action func()) {
	defer func() {
		if thrown := recover(); thrown != nil {
			text := fmt.Sprintf("an action on cancellation has panicked: %v\n%s", thrown,
				debug.Stack())
			if !Logf(ctx, LevelError, "%s", text) {
				fmt.Fprintln(os.Stderr, text)
			}
		}
	}()
	action()
}
