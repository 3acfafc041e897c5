package nffi

/*
#include <stdlib.h>
#include <nffi.h>
*/
import "C"

import "unsafe"

const (
	maxResponses = 64
	roomBytes    = maxResponses * smallResponse
)

// sender passes responses to C; one goroutine at a time. C must not receive a
// pointer to Go memory inside other memory, so the bytes of a batch are copied to
// C memory.
type sender struct {
	responses []C.nffi_response_t
	room      []byte
}

func newSender() sender {
	responses := (*C.nffi_response_t)(C.calloc(maxResponses, C.sizeof_nffi_response_t))
	return sender{responses: unsafe.Slice(responses, maxResponses)}
}

// free releases C's memory, after the last response.
func (s *sender) free() {
	C.free(unsafe.Pointer(&s.responses[0]))
	if s.room != nil {
		C.free(unsafe.Pointer(&s.room[0]))
	}
	s.responses, s.room = nil, nil
}

func (s *sender) send(waiting []response) {
	count, used := 0, 0
	for i := range waiting {
		one := &waiting[i]
		size := len(one.data) + len(one.detail)
		if size > smallResponse || len(waiting) == 1 {
			sendOne(one)
			continue
		}
		if s.room == nil {
			s.room = unsafe.Slice((*byte)(C.malloc(roomBytes)), roomBytes)
		}
		if count == maxResponses {
			s.sendBatch(count)
			count, used = 0, 0
		}
		s.responses[count] = C.nffi_response_t{
			task: C.nffi_task_t(one.task), rc: C.int32_t(one.rc), size: C.size_t(len(one.data)),
		}
		if one.data != nil {
			s.responses[count].data = unsafe.Pointer(&s.room[used%roomBytes])
		}
		used += copy(s.room[used:], one.data)
		if one.failed {
			s.responses[count].flags = C.NFFI_RESPONSE_ERROR
			s.responses[count].detail = unsafe.Pointer(&s.room[used%roomBytes])
			s.responses[count].detail_size = C.size_t(len(one.detail))
			used += copy(s.room[used:], one.detail)
		}
		count++
	}
	s.sendBatch(count)
}

func (s *sender) sendBatch(count int) {
	if count == 0 {
		return
	}
	sent := C.nffi_respond_batch(&s.responses[0], C.size_t(count))
	for i := 0; int(sent) < count && i < count; i++ {
		response := &s.responses[i]
		if response.result != C.NFFI_OK {
			reportUnsent(uint64(response.task), response.result)
		}
	}
}

func sendOne(one *response) {
	task := C.nffi_task_t(one.task)
	var result C.int
	if one.failed {
		result = C.nffi_respond_error(task, pointerTo(one.data), C.size_t(len(one.data)),
			pointerTo(one.detail), C.size_t(len(one.detail)))
	} else {
		result = C.nffi_respond(task, C.int(one.rc), pointerTo(one.data), C.size_t(len(one.data)))
	}
	if result != C.NFFI_OK {
		reportUnsent(one.task, C.int32_t(result))
	}
}

// reportUnsent reports to the caller why its response cannot be sent, unless the call
// was cancelled.
func reportUnsent(task uint64, result C.int32_t) {
	if result == C.NFFI_STALE || result == C.NFFI_CLOSED {
		return
	}
	text := []byte("the response cannot be sent: " + C.GoString(C.nffi_error_text(C.int(result))))
	C.nffi_respond_error(C.nffi_task_t(task), pointerTo(text), C.size_t(len(text)), nil, 0)
}

// empty is what a slice without bytes points to: NULL would be nil in Lua.
var empty [1]byte

func pointerTo(bytes []byte) unsafe.Pointer {
	if bytes == nil {
		return nil
	}
	if len(bytes) == 0 {
		return unsafe.Pointer(&empty[0])
	}
	return unsafe.Pointer(&bytes[0])
}
