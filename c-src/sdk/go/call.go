package nffi

import (
	"sync"
	"sync/atomic"
)

// call is one request on its way through a handler.
type call struct {
	runtime *runtime
	request Request
	ctx     callContext

	responded bool
	sending   sync.Mutex // one chunk at a time waits for credit
}

func (c *call) runAlone(handler Handler) {
	defer atomic.AddInt64(&c.runtime.running, -1)
	c.run(handler)
}

// run responds in any case: the handler returns, panics or ends its goroutine, and
// so may the methods of its error.
func (c *call) run(handler Handler) {
	defer func() {
		if !c.responded {
			c.respond(nil, errGoexit)
		}
	}()
	defer func() {
		if thrown := recover(); thrown != nil {
			c.respond(nil, panicError(thrown))
		}
	}()
	if streamer, ok := handler.(streamer); ok {
		c.finish(streamer.stream(&c.ctx, c.request, c.send))
		return
	}
	c.respond(handler.Handle(&c.ctx, c.request))
}

func (c *call) respond(data []byte, err error) {
	c.ctx.end()
	result := response{task: c.ctx.task, data: data}
	if err != nil {
		result = failure(c.ctx.task, err)
	}
	c.responded = true
	c.runtime.responses.add(result)
}

// finish ends a response in chunks.
func (c *call) finish(err error) {
	if err != nil {
		c.respond(nil, err)
		return
	}
	c.ctx.end()
	c.responded = true
	c.endStream()
}
