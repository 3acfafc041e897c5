/*
 * notes.h - notes of the worker about running tasks: a cancellation, or credit
 * of a stream. All functions require the queue's mutex.
 */

#ifndef NFFI_NOTES_H
#define NFFI_NOTES_H

#include "runtime/queue.h"

/* Takes the notes that have come and puts their tasks on the lists. */
void nffi__take_notes(nffi_queue_t *queue);

/* Returns whether the task in this slot was cancelled. */
bool nffi__is_cancelled(nffi_queue_t *queue, uint32_t slot);

/*
 * Returns whether a stream may write a chunk now. If it may not, it has
 * requested a note of credit. Also false after a protocol violation by the
 * worker.
 */
bool nffi__has_credit(nffi_queue_t *queue, nffi__stream_t *stream,
    uint32_t slot, uint32_t window);

#endif /* NFFI_NOTES_H */
