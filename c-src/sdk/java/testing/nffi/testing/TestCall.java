package nffi.testing;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** A running call. Closing it cancels it. */
public final class TestCall implements AutoCloseable {
    private static final int ERROR = 1;
    private static final int TIMEOUT = 2;
    private static final int CANCELLED = 3;
    private static final int QUEUE_FULL = -4;
    private static final int CLOSED = -5;

    private long call;

    TestCall(long host, String method, byte[] data, int timeoutMs, int window) throws CallFailed {
        call = HostNatives.begin(host, method.getBytes(StandardCharsets.UTF_8), data, timeoutMs,
                window);
        if (call > 0) return;
        int result = (int) call;
        String code = result == QUEUE_FULL ? "queue_full" : result == CLOSED ? "closed" : "invalid";
        throw new CallFailed(HostNatives.errorText(result), code, "", 0);
    }

    /**
     * Of a stream: waits for the next chunk; null is the end, {@link #await} returns the reason.
     */
    public byte[] read() {
        return HostNatives.read(call);
    }

    /** Of a stream: the rest of its chunks as text, and its end. */
    public List<String> readAll() throws CallFailed {
        List<String> chunks = new ArrayList<>();
        for (byte[] chunk = read(); chunk != null; chunk = read()) {
            chunks.add(new String(chunk, StandardCharsets.UTF_8));
        }
        await();
        return chunks;
    }

    /** Waits for the response. */
    public byte[] await() throws CallFailed {
        int[] end = new int[2];
        byte[][] detail = new byte[1][];
        byte[] data = HostNatives.await(call, end, detail);
        if (end[0] == 0 && end[1] == 0) return data;
        String message = new String(data, StandardCharsets.UTF_8);
        switch (end[0]) {
            case 0:
                throw new CallFailed(message, "runtime_error", "", end[1]);
            case ERROR:
                throw new CallFailed(message, "runtime_error",
                        new String(detail[0], StandardCharsets.UTF_8), 0);
            case TIMEOUT:
                throw new CallFailed("timeout", "timeout", "", 0);
            case CANCELLED:
                throw new CallFailed("cancelled", "cancelled", "", 0);
            default:
                throw new CallFailed("the runtime violated the queue protocol", "closed", "", 0);
        }
    }

    /** Cancels the call, as a disconnected client does. */
    public void cancel() {
        HostNatives.cancel(call);
    }

    @Override
    public void close() {
        if (call > 0) HostNatives.free(call);
        call = 0;
    }
}
