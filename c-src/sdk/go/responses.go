package nffi

import (
	"sync"
	"time"
)

// response is what is sent for one task. With failed, data is the message.
type response struct {
	task   uint64
	failed bool
	rc     int32
	data   []byte
	detail []byte
}

// While the loop that takes calls lets quick handlers run, their responses wait for
// each other; not longer than this after the first.
const maxHold = 50 * time.Microsecond

// responses collects responses for the queue and sends as many as possible with one
// C call. The goroutine that adds the first one sends it; responses that arrive
// in that time are sent with the next batch.
type responses struct {
	mutex   sync.Mutex
	waiting []response
	spare   []response // the other of two slices that take turns
	sending bool
	held    bool
	since   time.Time
	sender  sender
}

func newResponses() *responses {
	return &responses{sender: newSender()}
}

func (r *responses) add(one response) {
	r.mutex.Lock()
	r.waiting = append(r.waiting, one)
	if r.held {
		if len(r.waiting) == 1 {
			r.since = time.Now()
		} else if time.Since(r.since) > maxHold {
			r.held = false
		}
	}
	if !r.held && !r.sending {
		r.send()
	}
	r.mutex.Unlock()
}

// free releases C's memory: every call is answered, and none is being sent.
func (r *responses) free() {
	r.mutex.Lock()
	r.sender.free()
	r.mutex.Unlock()
}

// hold lets responses wait until release.
func (r *responses) hold() {
	r.mutex.Lock()
	r.held = true
	r.mutex.Unlock()
}

func (r *responses) release() {
	r.mutex.Lock()
	r.held = false
	if !r.sending {
		r.send()
	}
	r.mutex.Unlock()
}

// send is called and returns with the mutex locked.
func (r *responses) send() {
	r.sending = true
	for len(r.waiting) > 0 && !r.held {
		taken := r.waiting
		r.waiting = r.spare[:0]
		r.mutex.Unlock()
		r.sender.send(taken)
		for i := range taken {
			taken[i] = response{} // its bytes are garbage now
		}
		r.mutex.Lock()
		r.spare = taken
	}
	r.sending = false
}
