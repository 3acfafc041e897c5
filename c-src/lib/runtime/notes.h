/*
 * notes.h - what the host tells about tasks that run: that one was cancelled,
 * that a stream has credit again. All of it wants the queue's mutex.
 */

#ifndef NFFI_NOTES_H
#define NFFI_NOTES_H

#include "runtime/queue.h"

/* Takes the notes that have come and puts their tasks on the lists. */
void nffi__take_notes(nffi_queue_t *queue);

/* Nobody waits for the answer of the task in this slot. */
bool nffi__is_cancelled(nffi_queue_t *queue, uint32_t slot);

/*
 * Whether a stream may write a chunk now. When it may not, the host has been
 * asked to tell of credit. False, too, when the host broke the rules.
 */
bool nffi__has_credit(nffi_queue_t *queue, nffi__stream_t *stream,
    uint32_t slot, uint32_t window);

#endif /* NFFI_NOTES_H */
