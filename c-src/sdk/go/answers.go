package nffi

import (
	"sync"
	"time"
)

// answer is what one call gets. With failed, data is the message.
type answer struct {
	task   uint64
	failed bool
	rc     int32
	data   []byte
	detail []byte
}

// While the loop that takes calls lets quick handlers run, their answers wait for
// each other; not longer than this after the first.
const maxHold = 50 * time.Microsecond

// answers collects responses for the queue and sends as many as possible with one
// C call. The goroutine that adds the first one sends it; responses that arrive
// in that time are sent with the next batch.
type answers struct {
	mutex   sync.Mutex
	waiting []answer
	spare   []answer // the other of two slices that take turns
	giving  bool
	held    bool
	since   time.Time
	giver   giver
}

func newAnswers() *answers {
	return &answers{giver: newGiver()}
}

func (a *answers) add(one answer) {
	a.mutex.Lock()
	a.waiting = append(a.waiting, one)
	if a.held {
		if len(a.waiting) == 1 {
			a.since = time.Now()
		} else if time.Since(a.since) > maxHold {
			a.held = false
		}
	}
	if !a.held && !a.giving {
		a.give()
	}
	a.mutex.Unlock()
}

// hold lets answers wait until release.
func (a *answers) hold() {
	a.mutex.Lock()
	a.held = true
	a.mutex.Unlock()
}

func (a *answers) release() {
	a.mutex.Lock()
	a.held = false
	if !a.giving {
		a.give()
	}
	a.mutex.Unlock()
}

// give is called and returns with the mutex locked.
func (a *answers) give() {
	a.giving = true
	for len(a.waiting) > 0 && !a.held {
		taken := a.waiting
		a.waiting = a.spare[:0]
		a.mutex.Unlock()
		a.giver.give(taken)
		for i := range taken {
			taken[i] = answer{} // its bytes are garbage now
		}
		a.mutex.Lock()
		a.spare = taken
	}
	a.giving = false
}
