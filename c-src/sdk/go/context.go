package nffi

import (
	"context"
	"sync"
	"time"
)

// callContext is the context of one call. Most handlers never use theirs, so its
// channels and timers are created on first use.
type callContext struct {
	runtime  *runtime
	task     uint64
	method   string
	deadline time.Time // zero: none

	mutex     sync.Mutex
	inner     context.Context
	cancel    context.CancelFunc
	cancelled bool
	over      bool
	actions   []*func() // of OnCancel
}

func (c *callContext) Deadline() (time.Time, bool) {
	return c.deadline, !c.deadline.IsZero()
}

func (c *callContext) Done() <-chan struct{} { return c.watched().Done() }
func (c *callContext) Err() error            { return c.watched().Err() }

// Value looks the key up in the inner context. Package context finds the inner
// context this way, so a derived context needs no goroutine to watch it.
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
		// a cancellation is reported once, perhaps before this call was watched
		if isCancelled(c.task) {
			c.cancelled = true
			c.cancelNow()
		}
	}
	return c.inner
}

// onCancelled cancels the context of a cancelled call and runs its actions.
func (c *callContext) onCancelled() {
	c.mutex.Lock()
	c.cancelled = true
	c.cancelNow()
	actions := c.actions
	c.actions = nil
	c.mutex.Unlock()
	if len(actions) > 0 {
		go c.run(actions)
	}
}

// cancelNow leaves a deadline that is about now to its own timer, which produces
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
	c.actions = nil
	if c.inner != nil {
		c.runtime.unwatch(c)
		c.cancel()
	}
}
