package nffi

/*
#include <stdlib.h>
#include <string.h>
#include "wait.h"
*/
import "C"

import (
	"time"
	"unsafe"
)

const (
	maxTasks = 64
	maxNotes = 64
	// names of methods that are kept: one may come from a client
	maxNames = 1000

	// responses up to this size are copied together, so that one crossing sends
	// all of them; larger ones are sent separately
	smallResponse = 4096
)

// request is what C has filled in for one task that was taken.
type request C.nffi_request_t

type cTask = C.nffi_task_t

// notes lists running tasks that were cancelled or have credit: valid until the
// next wait.
type notes struct {
	cancelled []cTask
	writable  []cTask // streams that have credit again
}

// queue takes tasks. Only one goroutine at a time may use it.
type queue struct {
	pointer   *C.nffi_queue_t
	requests  []request // C's memory, as the next
	cancelled []cTask
	writable  []cTask
	noted     *C.nffi_go_notes_t
	names     map[string]string
}

// The same instant on both clocks: deadlines are CLOCK_MONOTONIC.
var (
	baseTime      = time.Now()
	baseMonotonic = uint64(C.nffi_go_now())
)

func newQueue(pointer unsafe.Pointer) *queue {
	requests := (*request)(C.calloc(maxTasks, C.sizeof_nffi_request_t))
	cancelled := (*cTask)(C.calloc(maxNotes, C.sizeof_nffi_task_t))
	writable := (*cTask)(C.calloc(maxNotes, C.sizeof_nffi_task_t))
	return &queue{
		pointer:   (*C.nffi_queue_t)(pointer),
		requests:  unsafe.Slice(requests, maxTasks),
		cancelled: unsafe.Slice(cancelled, maxNotes),
		writable:  unsafe.Slice(writable, maxNotes),
		noted:     (*C.nffi_go_notes_t)(C.calloc(1, C.sizeof_nffi_go_notes_t)),
		names:     map[string]string{},
	}
}

// free releases C's memory, after the last use of the queue.
func (q *queue) free() {
	C.free(unsafe.Pointer(&q.requests[0]))
	C.free(unsafe.Pointer(&q.cancelled[0]))
	C.free(unsafe.Pointer(&q.writable[0]))
	C.free(unsafe.Pointer(q.noted))
	q.requests, q.cancelled, q.writable, q.noted = nil, nil, nil, nil
}

// wait returns the tasks that have arrived and notes about others, valid until
// the next call. open is false at the end of the queue. A negative time means no
// limit.
func (q *queue) wait(limit time.Duration) (tasks []request, noted notes, open bool) {
	ms := C.int(-1)
	if limit >= 0 {
		ms = C.int((limit + time.Millisecond - 1) / time.Millisecond)
	}
	n := C.nffi_go_wait(q.pointer, (*C.nffi_request_t)(&q.requests[0]), maxTasks,
		&q.cancelled[0], &q.writable[0], maxNotes, ms, q.noted)
	if n < 0 {
		return nil, q.notes(), false
	}
	return q.requests[:n], q.notes(), true
}

func (q *queue) takeNotes() notes {
	C.nffi_go_notes(q.pointer, &q.cancelled[0], &q.writable[0], maxNotes, q.noted)
	return q.notes()
}

func (q *queue) notes() notes {
	return notes{q.cancelled[:q.noted.cancelled], q.writable[:q.noted.writable]}
}

func isCancelled(task uint64) bool {
	return C.nffi_task_cancelled(C.nffi_task_t(task)) == 1
}

func (r *request) handle() uint64 { return uint64(r.task) }

// bytes is the task's memory, valid until it is answered; nil where Lua passed nil.
func (r *request) bytes() []byte {
	if r.data == nil {
		return nil
	}
	return unsafe.Slice((*byte)(r.data), int(r.size))
}

func (r *request) streamed() bool { return r.flags&C.NFFI_REQUEST_STREAM != 0 }

func (r *request) deadline() time.Time {
	if r.deadline_ns == 0 {
		return time.Time{}
	}
	return baseTime.Add(time.Duration(uint64(r.deadline_ns) - baseMonotonic))
}

// method is the name of a request, made once for all requests that have it.
func (q *queue) method(r *request) string {
	if r.method_size == 0 {
		return ""
	}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(r.method)), int(r.method_size))
	if name, known := q.names[string(bytes)]; known {
		return name
	}
	name := string(bytes)
	if len(q.names) < maxNames {
		q.names[name] = name
	}
	return name
}
