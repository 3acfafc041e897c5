package nffi

import (
	"context"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = 30 * time.Second
	// how often calls that outlive a closed queue are checked for cancellation
	closedTick = 20 * time.Millisecond
)

// runtime is one configuration of the program: its queue and its handler.
type runtime struct {
	queue     *queue
	responses *responses
	ctx       context.Context
	cancel    context.CancelFunc
	running   int64 // calls that are goroutines
	ended     chan struct{}

	mutex   sync.Mutex
	watched map[uint64]*callContext
	waiting map[uint64]chan struct{} // streams without credit
}

func newRuntime(queue *queue) *runtime {
	ctx, cancel := context.WithCancel(context.Background())
	return &runtime{
		queue:     queue,
		responses: newResponses(),
		ctx:       ctx,
		cancel:    cancel,
		ended:     make(chan struct{}),
		watched:   map[uint64]*callContext{},
		waiting:   map[uint64]chan struct{}{},
	}
}

// start creates the handler, with retries, and then serves until the queue has
// ended. Calls wait for the first try and fail between later ones.
func (r *runtime) start(make func(context.Context) (Handler, error)) {
	known, reported := "", time.Duration(0)
	for delay := firstDelay; ; delay *= 2 {
		var handler Handler
		err := guard(func() (err error) {
			handler, err = make(r.ctx)
			return err
		})
		if err == nil {
			r.serve(handler, nil)
			return
		}
		if delay > lastDelay {
			delay = lastDelay
		}
		if err.Message != known || delay != reported {
			r.queue.logStart(err, err.Message == known, delay)
		}
		known, reported = err.Message, delay
		if !r.refuse(startError(err), delay) {
			r.end()
			return
		}
	}
}

// refuse fails the calls that come while the time lasts; false: the queue ended.
func (r *runtime) refuse(err error, lasting time.Duration) bool {
	for until := time.Now().Add(lasting); ; {
		left := time.Until(until)
		if left <= 0 {
			return true
		}
		tasks, _, open := r.queue.wait(left)
		if !open {
			return false
		}
		for i := range tasks {
			r.responses.add(failure(tasks[i].handle(), err))
		}
	}
}

// serve takes calls until the queue has ended and the last one is answered. It
// begins with the tasks that were taken already.
func (r *runtime) serve(handler Handler, tasks []request) {
	finished := false
	defer func() {
		// an inline handler has ended this goroutine: another one starts the
		// rest of its batch, and goes on
		if !finished {
			r.responses.release()
			go r.serve(handler, tasks)
		}
	}()
	for {
		if len(tasks) == 0 {
			taken, notes, open := r.queue.wait(-1)
			r.notify(notes) // includes notes that arrive with the end
			if !open {
				break
			}
			tasks = taken
		}
		r.responses.hold()
		spawned := false
		for len(tasks) > 0 {
			next := &tasks[0]
			tasks = tasks[1:]
			if r.dispatch(handler, next) {
				spawned = true
			}
		}
		if spawned {
			// let quick handlers finish, so that one crossing sends all responses
			goruntime.Gosched()
		}
		r.responses.release()
	}
	finished = true
	r.end()
}

// end waits for the calls under way.
func (r *runtime) end() {
	for atomic.LoadInt64(&r.running) > 0 {
		r.notify(r.queue.takeNotes())
		time.Sleep(closedTick)
	}
	r.cancel()
	r.responses.free()
	r.queue.free()
	close(r.ended)
}

// dispatch starts one call; true: it is a goroutine.
func (r *runtime) dispatch(handler Handler, taken *request) bool {
	call := &call{
		runtime: r,
		request: Request{
			Method: r.queue.method(taken), Data: taken.bytes(), streamed: taken.streamed(),
		},
	}
	call.ctx = callContext{
		runtime: r, task: taken.handle(), method: call.request.Method, deadline: taken.deadline(),
	}
	chosen, isInline, err := choose(handler, call.request.Method)
	switch {
	case err != nil:
		r.responses.add(failure(call.ctx.task, err))
	case isInline:
		call.run(chosen)
	default:
		atomic.AddInt64(&r.running, 1)
		go call.runAlone(chosen)
		return true
	}
	return false
}

func (r *runtime) watch(c *callContext) {
	r.mutex.Lock()
	r.watched[c.task] = c
	r.mutex.Unlock()
}

func (r *runtime) unwatch(c *callContext) {
	r.mutex.Lock()
	delete(r.watched, c.task)
	r.mutex.Unlock()
}

// notify cancels the contexts of cancelled calls, and wakes streams that have
// credit.
func (r *runtime) notify(notes notes) {
	r.notifyWritable(notes.writable)
	for _, task := range notes.cancelled {
		r.mutex.Lock()
		c := r.watched[uint64(task)]
		r.mutex.Unlock()
		if c != nil {
			c.onCancelled()
		}
	}
}
