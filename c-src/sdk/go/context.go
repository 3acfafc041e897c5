package nffi

import (
	"context"
	"sync"
	"time"
)

// callContext is the context of one call. Most handlers never look at theirs, so
// what can be watched is only made when somebody asks for it.
type callContext struct {
	runtime  *runtime
	task     uint64
	deadline time.Time // zero: none

	mutex  sync.Mutex
	inner  context.Context
	cancel context.CancelFunc
	over   bool
}

func (c *callContext) Deadline() (time.Time, bool) {
	return c.deadline, !c.deadline.IsZero()
}

func (c *callContext) Done() <-chan struct{} { return c.watched().Done() }
func (c *callContext) Err() error            { return c.watched().Err() }

// Value goes through the context inside, by which package context finds it: what
// is derived from this one then needs no goroutine to watch it.
func (c *callContext) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.watched().Value(key)
}

func (c *callContext) watched() context.Context {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.inner != nil {
		return c.inner
	}
	if c.deadline.IsZero() {
		c.inner, c.cancel = context.WithCancel(c.runtime.ctx)
	} else {
		c.inner, c.cancel = context.WithDeadline(c.runtime.ctx, c.deadline)
	}
	switch {
	case c.over:
		c.cancel()
	default:
		c.runtime.watch(c)
		// a cancellation is told once, perhaps before this call was watched
		if isCancelled(c.task) {
			c.cancelNow()
		}
	}
	return c.inner
}

// abandoned: nobody waits for the answer any more.
func (c *callContext) abandoned() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.cancelNow()
}

// cancelNow leaves a deadline that is about now to its own timer, which gives
// the better error.
func (c *callContext) cancelNow() {
	if c.deadline.IsZero() || time.Until(c.deadline) > 5*time.Millisecond {
		c.cancel()
	}
}

// end is called when the handler has returned, as net/http does.
func (c *callContext) end() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.over = true
	if c.inner != nil {
		c.runtime.unwatch(c)
		c.cancel()
	}
}
