package nffi;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.nio.file.Paths;

/**
 * The native methods, in PREFIX/nffi/lib/libnffi_java.so (c-src/sdk/java/bridge/natives.c).
 * Negative results are the codes of nffi.h.
 */
final class Native {
    static final int OK = 0;
    static final int STALE = -3;
    static final int CLOSED = -5;
    static final int NOT_A_PROCESS = -9;
    static final int WOULD_BLOCK = -10;
    static final int CANCELLED = -11;

    static {
        String named = System.getProperty("nffi.library");
        System.load(named == null ? Found.library().toString() : new File(named).getAbsolutePath());
    }

    private Native() {}

    /** The library without the property `nffi.library`, which Lua sets. */
    private static final class Found {
        /** In lib/ of a directory above the jar, else in its home. */
        static Path library() {
            Path place;
            try {
                place = Paths.get(Native.class.getProtectionDomain().getCodeSource()
                        .getLocation().toURI());
            } catch (URISyntaxException | RuntimeException strange) {
                throw new UnsatisfiedLinkError("libnffi_java.so not found: set "
                        + "-Dnffi.library=PREFIX/nffi/lib/libnffi_java.so");
            }
            for (Path above = place; above != null; above = above.getParent()) {
                Path library = above.resolve("lib").resolve("libnffi_java.so");
                if (new File(library.toString()).isFile()) return library;
            }
            Path home = home();
            if (home != null) return home.resolve("lib").resolve("libnffi_java.so");
            throw new UnsatisfiedLinkError(
                    "libnffi_java.so not found in lib/ of any directory above " + place
                            + ": set -Dnffi.library=PREFIX/nffi/lib/libnffi_java.so");
        }

        /** PREFIX/nffi, for a copy of the jar elsewhere, such as Maven's; null: it is not known. */
        private static Path home() {
            try (InputStream in = Native.class.getResourceAsStream("home")) {
                return in == null ? null : Paths.get(new String(in.readAllBytes(), UTF_8));
            } catch (IOException unreadable) {
                return null;
            }
        }
    }

    /** Returns a poller of the queue; 0: no memory. One thread at a time may poll. */
    static native long open(long queue);

    static native void close(long poller);

    /** Memory that {@link #free} returns; the collector would return it long after the end. */
    static ByteBuffer allocate(int size) {
        ByteBuffer memory = allocateBytes(size);
        if (memory == null) throw new OutOfMemoryError("no native memory for a runtime");
        return memory.order(ByteOrder.nativeOrder());
    }

    /** Null: there is no memory. */
    private static native ByteBuffer allocateBytes(int size);

    /** The buffer must not be used afterwards. */
    static native void free(ByteBuffer memory);

    /** Fills a {@link Batch}. Waits. Returns the number of tasks in it, or CLOSED. */
    static native int poll(long poller, ByteBuffer batch, int timeoutMs);

    /** Ends the current wait, or else the next one. Any thread may call it. */
    static native void wake(long poller);

    /** The bytes of an open task; null: it is not open, or there is no memory. */
    static native byte[] requestBytes(long task);

    /** The same memory, which is freed with the response. */
    static native ByteBuffer requestView(long task);

    /** Sends the responses of a {@link Responses} batch. Returns the number that was sent. */
    static native int respond(ByteBuffer batch, int count);

    static native int respondBytes(long task, int rc, byte[] data);

    static native int respondDirect(long task, int rc, ByteBuffer data, int from, int size);

    static native int respondError(long task, byte[] message, byte[] detail);

    static native boolean isCancelled(long task);

    static native int streamWrite(long task, byte[] chunk, int from, int size);

    static native int streamWriteDirect(long task, ByteBuffer chunk, int from, int size);

    static native int streamEnd(long task);

    static native int log(long task, int level, byte[] text);

    /** Logs a text that belongs to no task. */
    static native int queueLog(long queue, int level, byte[] text);

    /** CLOCK_MONOTONIC in ns, the clock of deadlines. */
    static native long now();

    static native String errorText(int code);

    /** Returns the queue of this process, or a negative code. */
    static native long attach();

    /** The configuration that Lua passed; null: none. */
    static native byte[] config(long queue);

    static native int attachReady(long queue);

    static native int attachFailed(long queue, byte[] message);

    /** For a JVM that ends in a worker: a thread of C then fails the calls of the queue. */
    static native void refuse(long queue, byte[] message);
}
