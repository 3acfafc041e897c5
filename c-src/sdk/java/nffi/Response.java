package nffi;

import java.nio.ByteBuffer;

/** What is sent for one task. */
final class Response {
    final long task;
    final int rc;
    final boolean isFailure;
    /** The bytes, or the message of a failure. With no buffer either, there is no response. */
    final byte[] data;
    /** A direct buffer. */
    final ByteBuffer buffer;
    final byte[] detail;

    private static final byte[] NONE = {};

    private Response(long task, int rc, boolean isFailure, byte[] data, ByteBuffer buffer,
            byte[] detail) {
        this.task = task;
        this.rc = rc;
        this.isFailure = isFailure;
        this.data = data;
        this.buffer = buffer;
        this.detail = detail;
    }

    static Response of(long task, byte[] data) {
        return new Response(task, 0, false, data, null, NONE);
    }

    static Response of(long task, ByteBuffer data) {
        if (data != null && data.isDirect()) {
            return new Response(task, 0, false, null, data, NONE);
        }
        if (data == null) return of(task, (byte[]) null);
        byte[] copy = new byte[data.remaining()];
        data.duplicate().get(copy);
        return of(task, copy);
    }

    static Response failure(long task, Failure failure) {
        if (failure.code != 0) {
            return new Response(task, failure.code, false, failure.message, null, NONE);
        }
        return new Response(task, 0, true, failure.message, null, failure.detail);
    }

    /** Whether there is no response, which is not an empty one. */
    boolean isNothing() {
        return data == null && buffer == null;
    }

    int size() {
        if (isNothing()) return 0;
        return (data == null ? buffer.remaining() : data.length) + detail.length;
    }

    /** Sends this response with a separate call. */
    int send() {
        if (isFailure) return Native.respondError(task, data, detail);
        if (buffer == null) return Native.respondBytes(task, rc, data);
        return Native.respondDirect(task, rc, buffer, buffer.position(), buffer.remaining());
    }
}
