package nffi;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Collects responses for the queue and sends as many as possible with one crossing. The thread that
 * adds the first one sends it; responses that arrive in that time are sent with the next batch. The
 * layout is that of nffi_java_answer_t in c-src/sdk/java/bridge/natives.h.
 */
final class Answers {
    private static final int MAX_BATCH = 64;
    private static final int ANSWER_SIZE = 32;
    private static final int BYTES = MAX_BATCH * ANSWER_SIZE;
    /** Answers up to this size share a crossing; larger ones go by themselves. */
    private static final int SMALL = 4096;
    private static final int FAILED = 1;
    private static final int NOTHING = 2;
    /** While the loop that takes calls runs quick handlers, answers wait; not longer than this. */
    private static final long MAX_HOLD_NS = 50_000;

    private final ReentrantLock lock = new ReentrantLock();
    private List<Answer> waiting = new ArrayList<>();
    private List<Answer> spare = new ArrayList<>();
    private boolean giving;
    private boolean held;
    private long since;
    /** Used by the sending thread only. */
    private ByteBuffer memory;

    void add(Answer answer) {
        lock.lock();
        try {
            waiting.add(answer);
            if (held) {
                long now = System.nanoTime();
                if (waiting.size() == 1) since = now;
                else if (now - since > MAX_HOLD_NS) held = false;
            }
            if (!held && !giving) give();
        } finally {
            lock.unlock();
        }
    }

    /** Lets answers wait until {@link #release}. */
    void hold() {
        lock.lock();
        held = true;
        lock.unlock();
    }

    void release() {
        lock.lock();
        try {
            held = false;
            if (!giving) give();
        } finally {
            lock.unlock();
        }
    }

    /** Entered and left with the lock. */
    private void give() {
        giving = true;
        try {
            while (!waiting.isEmpty() && !held) {
                List<Answer> taken = waiting;
                waiting = spare;
                lock.unlock();
                try {
                    giveAll(taken);
                } finally {
                    lock.lock();
                    taken.clear();
                    spare = taken;
                }
            }
        } finally {
            giving = false;
        }
    }

    private void giveAll(List<Answer> answers) {
        int first = 0;
        while (first < answers.size()) {
            Answer one = answers.get(first);
            boolean isAlone = first + 1 == answers.size() || answers.get(first + 1).size() > SMALL;
            if (isAlone || one.size() > SMALL) {
                giveOne(one);
                first++;
            } else {
                first = giveSome(answers, first);
            }
        }
    }

    private static void giveOne(Answer one) {
        int result;
        try {
            result = one.give();
        } catch (OutOfMemoryError noMemory) {
            result = Native.respondError(one.task, Failure.of(noMemory).message, null);
        }
        if (result != Native.OK) giveUp(one.task, result);
    }

    /** Sends the small ones together. Returns the index of the first remaining one. */
    private int giveSome(List<Answer> answers, int first) {
        if (memory == null) {
            memory = ByteBuffer.allocateDirect(BYTES + MAX_BATCH * SMALL)
                    .order(ByteOrder.nativeOrder());
        }
        int next = first;
        memory.position(BYTES);
        while (next < answers.size() && next - first < MAX_BATCH && answers.get(next).size() <= SMALL) {
            put(answers.get(next), (next - first) * ANSWER_SIZE);
            next++;
        }
        int count = next - first;
        if (Native.respond(memory, count) == count) return next;
        for (int i = 0; i < count; i++) {
            int result = memory.getInt(i * ANSWER_SIZE + 28);
            if (result != Native.OK) giveUp(answers.get(first + i).task, result);
        }
        return next;
    }

    private void put(Answer answer, int at) {
        int from = memory.position();
        if (answer.data != null) memory.put(answer.data);
        else if (answer.buffer != null) memory.put(answer.buffer.duplicate());
        memory.putLong(at, answer.task);
        memory.putInt(at + 8, from);
        memory.putInt(at + 12, memory.position() - from);
        memory.putInt(at + 16, answer.detail.length);
        memory.putInt(at + 20, answer.rc);
        memory.putInt(at + 24, answer.isFailure ? FAILED : answer.isNothing() ? NOTHING : 0);
        memory.putInt(at + 28, 0);
        memory.put(answer.detail);
    }

    /** Reports to the caller why its response cannot be sent, unless the call was cancelled. */
    static void giveUp(long task, int result) {
        if (result == Native.STALE || result == Native.CLOSED) return;
        String text = "the answer cannot be given: " + Native.errorText(result);
        Native.respondError(task, text.getBytes(StandardCharsets.UTF_8), null);
    }
}
