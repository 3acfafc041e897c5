package nffi;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Collects responses for the queue and sends as many as possible with one crossing. The thread that
 * adds the first one sends it; responses that arrive in that time are sent with the next batch. The
 * layout is that of nffi_java_response_t in c-src/sdk/java/bridge/natives.h.
 */
final class Responses {
    private static final int MAX_BATCH = 64;
    private static final int RESPONSE_SIZE = 32;
    private static final int BYTES = MAX_BATCH * RESPONSE_SIZE;
    /** Responses up to this size share a crossing; larger ones go by themselves. */
    private static final int SMALL = 4096;
    private static final int FAILED = 1;
    private static final int NOTHING = 2;
    /** While the loop that takes calls runs quick handlers, responses wait, at most this long. */
    private static final long MAX_HOLD_NS = 50_000;

    private final ReentrantLock lock = new ReentrantLock();
    private List<Response> waiting = new ArrayList<>();
    private List<Response> spare = new ArrayList<>();
    private boolean sending;
    private boolean held;
    private long since;
    private boolean isClosed;
    /**
     * Used by the sending thread only. Made with the runtime: later there may be none left. Null:
     * freed.
     */
    private ByteBuffer memory = Native.allocate(BYTES + MAX_BATCH * SMALL);

    void add(Response response) {
        lock.lock();
        try {
            try {
                waiting.add(response);
            } catch (OutOfMemoryError noMemory) {
                sendOne(response);
                return;
            }
            if (held) {
                long now = System.nanoTime();
                if (waiting.size() == 1) since = now;
                else if (now - since > MAX_HOLD_NS) held = false;
            }
            if (!held && !sending) send();
        } finally {
            lock.unlock();
        }
    }

    /** Lets responses wait until {@link #release}. */
    void hold() {
        lock.lock();
        held = true;
        lock.unlock();
    }

    void release() {
        lock.lock();
        try {
            held = false;
            if (!sending) send();
        } finally {
            lock.unlock();
        }
    }

    /**
     * Frees the memory, if need be after what is being sent: a call has ended before its response
     * is sent. Later responses are sent one by one.
     */
    void close() {
        lock.lock();
        try {
            isClosed = true;
            if (!sending) free();
        } finally {
            lock.unlock();
        }
    }

    /** With the lock, by the sending thread or if there is none. */
    private void free() {
        if (memory == null) return;
        Native.free(memory);
        memory = null;
    }

    /** Entered and left with the lock. */
    private void send() {
        sending = true;
        try {
            while (!waiting.isEmpty() && !held) {
                List<Response> taken = waiting;
                waiting = spare;
                lock.unlock();
                try {
                    sendAll(taken);
                } finally {
                    lock.lock();
                    taken.clear();
                    spare = taken;
                }
            }
        } finally {
            sending = false;
            if (isClosed) free();
        }
    }

    private void sendAll(List<Response> responses) {
        int first = 0;
        while (first < responses.size()) {
            Response one = responses.get(first);
            int next = first + 1;
            boolean isAlone = next == responses.size() || responses.get(next).size() > SMALL;
            if (memory == null || isAlone || one.size() > SMALL) {
                sendOne(one);
                first++;
            } else {
                first = sendSome(responses, first);
            }
        }
    }

    /** Never throws: other responses follow. */
    private static void sendOne(Response one) {
        try {
            int result = one.send();
            if (result != Native.OK) reportUnsent(one.task, result);
        } catch (Throwable thrown) {
            // no memory; or a buffer that was changed
            Native.respondError(one.task, Failure.of(thrown).message, null);
        }
    }

    /**
     * Sends the small ones together, or one by one if that is impossible: one that was sent already
     * is refused then. Returns the index of the first remaining one.
     */
    private int sendSome(List<Response> responses, int first) {
        int end = Math.min(responses.size(), first + MAX_BATCH);
        int next = first + 1;
        while (next < end && responses.get(next).size() <= SMALL) next++;
        try {
            sendTogether(responses, first, next);
        } catch (Throwable thrown) {
            // no memory; or a buffer that was changed
            for (int i = first; i < next; i++) sendOne(responses.get(i));
        }
        return next;
    }

    private void sendTogether(List<Response> responses, int first, int end) {
        memory.position(BYTES);
        int count = end - first;
        for (int i = 0; i < count; i++) put(responses.get(first + i), i * RESPONSE_SIZE);
        if (Native.respond(memory, count) == count) return;
        for (int i = 0; i < count; i++) {
            int result = memory.getInt(i * RESPONSE_SIZE + 28);
            if (result != Native.OK) reportUnsent(responses.get(first + i).task, result);
        }
    }

    private void put(Response response, int at) {
        int from = memory.position();
        if (response.data != null) memory.put(response.data);
        else if (response.buffer != null) memory.put(response.buffer.duplicate());
        memory.putLong(at, response.task);
        memory.putInt(at + 8, from);
        memory.putInt(at + 12, memory.position() - from);
        memory.putInt(at + 16, response.detail.length);
        memory.putInt(at + 20, response.rc);
        memory.putInt(at + 24, response.isFailure ? FAILED : response.isNothing() ? NOTHING : 0);
        memory.putInt(at + 28, 0);
        memory.put(response.detail);
    }

    /** Reports to the caller why its response cannot be sent, unless the call was cancelled. */
    static void reportUnsent(long task, int result) {
        if (result == Native.STALE || result == Native.CLOSED) return;
        String text = "the response cannot be sent: " + Native.errorText(result);
        Native.respondError(task, text.getBytes(StandardCharsets.UTF_8), null);
    }
}
