package nffi;

import java.nio.ByteBuffer;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/**
 * A response in chunks, which Lua reads one by one with runtime:stream. While Lua has 8 chunks, or
 * its window of bytes, unread, a write waits. One thread at a time.
 */
public final class Chunks {
    private final Call call;
    private volatile CompletableFuture<Void> credit;

    Chunks(Call call) {
        this.call = call;
    }

    /**
     * Sends one chunk, a copy of the bytes.
     *
     * @throws CancellationException the stream was cancelled: return
     */
    public void write(byte[] chunk) throws InterruptedException {
        while (!tryWrite(chunk)) await();
    }

    /** Sends the remaining bytes of a buffer. */
    public void write(ByteBuffer chunk) throws InterruptedException {
        while (!taken(chunk)) await();
    }

    /** Without waiting; false: there is no credit, and the chunk was not taken. */
    public boolean tryWrite(byte[] chunk) {
        if (call.isAnswered()) throw over();
        return taken(Native.streamWrite(call.task, chunk, 0, chunk.length));
    }

    /**
     * Completes when another write may succeed. Request it before the write that is tried again:
     * earlier credit is not reported again.
     */
    public CompletableFuture<Void> writable() {
        CompletableFuture<Void> asked = new CompletableFuture<>();
        credit = asked;
        return asked;
    }

    /** The end of the stream, which otherwise comes when the handler returns. */
    public void end() {
        call.endStream();
    }

    private boolean taken(ByteBuffer chunk) {
        if (call.isAnswered()) throw over();
        int from = chunk.position();
        int size = chunk.remaining();
        if (chunk.isDirect()) {
            return taken(Native.streamWriteDirect(call.task, chunk, from, size));
        }
        if (chunk.hasArray()) {
            return taken(Native.streamWrite(call.task, chunk.array(),
                    chunk.arrayOffset() + from, size));
        }
        byte[] copy = new byte[size];
        chunk.duplicate().get(copy);
        return taken(Native.streamWrite(call.task, copy, 0, size));
    }

    private boolean taken(int result) {
        if (result == Native.OK) return true;
        if (result == Native.WOULD_BLOCK) {
            CompletableFuture<Void> asked = credit;
            // it was there when this was asked for
            if (asked != null && asked.isDone()) credit = null;
            return false;
        }
        if (result == Native.CANCELLED) throw over();
        throw new NffiException("the chunk cannot be sent: " + Native.errorText(result));
    }

    private static CancellationException over() {
        return new CancellationException("the stream was cancelled");
    }

    /** The first time it only asks, so that the chunk is tried once more. */
    private void await() throws InterruptedException {
        CompletableFuture<Void> asked = credit;
        if (asked == null) {
            writable();
            return;
        }
        try {
            asked.get();
        } catch (ExecutionException never) {
            throw new IllegalStateException(never);
        }
        credit = null;
    }

    void credit() {
        CompletableFuture<Void> asked = credit;
        if (asked != null) asked.complete(null);
    }
}
