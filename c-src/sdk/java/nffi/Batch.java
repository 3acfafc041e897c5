package nffi;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * The result of one crossing: tasks, and notes about others. The layout is that of
 * nffi_java_batch_t in c-src/sdk/java/bridge/natives.h. One thread at a time.
 */
final class Batch {
    static final int MAX_TASKS = 64;
    private static final int MAX_NOTES = 64;

    private static final int CANCELLED_COUNT = 0;
    private static final int WRITABLE_COUNT = 4;
    private static final int NOTES = 8;
    private static final int TASKS = NOTES + 2 * 8 * MAX_NOTES;
    private static final int TASK_SIZE = 40;
    private static final int BYTES = TASKS + MAX_TASKS * TASK_SIZE;
    /** Requests up to this size are brought along; larger ones are fetched. */
    static final int SMALL = 4096;
    private static final int MAX_METHOD = 255;
    private static final int SIZE = BYTES + MAX_TASKS * (SMALL + MAX_METHOD);

    /** Names of methods that are kept: one may come from a client. */
    private static final int MAX_NAMES = 1000;

    private static final int STREAMED = 1;

    private ByteBuffer memory = Native.allocate(SIZE);
    private final Map<ByteBuffer, String> names = new HashMap<>();

    /** As Native.poll. */
    int poll(long poller, int timeoutMs) {
        return Native.poll(poller, memory, timeoutMs);
    }

    /** After the last use. */
    void free() {
        Native.free(memory);
        memory = null;
    }

    int cancelledCount() {
        return memory.getInt(CANCELLED_COUNT);
    }

    int writableCount() {
        return memory.getInt(WRITABLE_COUNT);
    }

    long cancelled(int i) {
        return memory.getLong(NOTES + 8 * i);
    }

    long writable(int i) {
        return memory.getLong(NOTES + 8 * (MAX_NOTES + i));
    }

    long task(int i) {
        return memory.getLong(TASKS + TASK_SIZE * i);
    }

    /** CLOCK_MONOTONIC, 0: none. */
    long deadline(int i) {
        return memory.getLong(TASKS + TASK_SIZE * i + 8);
    }

    long size(int i) {
        return memory.getLong(TASKS + TASK_SIZE * i + 16);
    }

    boolean isStreamed(int i) {
        return (memory.getInt(TASKS + TASK_SIZE * i + 32) & STREAMED) != 0;
    }

    /** The bytes of a small request; null: fetch them. */
    byte[] bytes(int i) {
        long size = size(i);
        if (size > SMALL) return null;
        byte[] bytes = new byte[(int) size];
        ByteBuffer view = memory.duplicate();
        view.position(memory.getInt(TASKS + TASK_SIZE * i + 24) + methodSize(i));
        view.get(bytes);
        return bytes;
    }

    private int methodSize(int i) {
        return memory.getInt(TASKS + TASK_SIZE * i + 28);
    }

    /** The name of a request's method, made once for all requests that have it. */
    String method(int i) {
        int size = methodSize(i);
        if (size == 0) return "";
        ByteBuffer bytes = memory.duplicate();
        int at = memory.getInt(TASKS + TASK_SIZE * i + 24);
        bytes.position(at).limit(at + size);
        String known = names.get(bytes);
        if (known != null) return known;
        byte[] copy = new byte[size];
        bytes.duplicate().get(copy);
        String name = new String(copy, StandardCharsets.UTF_8);
        if (names.size() < MAX_NAMES) names.put(ByteBuffer.wrap(copy), name);
        return name;
    }
}
