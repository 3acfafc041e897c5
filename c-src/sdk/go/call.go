package nffi

import "sync/atomic"

// call is one request on its way through a handler.
type call struct {
	runtime *runtime
	request Request
	ctx     callContext
}

func (c *call) runAlone(handler Handler) {
	defer atomic.AddInt64(&c.runtime.running, -1)
	c.run(handler)
}

// run responds in any case: the handler returns, panics or ends its goroutine.
func (c *call) run(handler Handler) {
	returned := false
	defer func() {
		if returned {
			return
		}
		err := errGoexit
		if thrown := recover(); thrown != nil {
			err = panicError(thrown)
		}
		c.respond(nil, err)
	}()
	if streamer, ok := handler.(streamer); ok {
		err := streamer.stream(&c.ctx, c.request, c.send)
		returned = true
		c.finish(err)
		return
	}
	data, err := handler.Handle(&c.ctx, c.request)
	returned = true
	c.respond(data, err)
}

func (c *call) respond(data []byte, err error) {
	c.ctx.end()
	if err != nil {
		c.runtime.responses.add(failure(c.ctx.task, err))
		return
	}
	c.runtime.responses.add(response{task: c.ctx.task, data: data})
}

// finish ends a response in chunks.
func (c *call) finish(err error) {
	if err != nil {
		c.respond(nil, err)
		return
	}
	c.ctx.end()
	c.endStream()
}
