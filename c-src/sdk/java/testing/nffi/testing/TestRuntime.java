package nffi.testing;

import java.lang.reflect.Type;
import nffi.Codec;
import nffi.Handler;
import nffi.TestInstance;

/**
 * Runs a runtime in a test, without nginx: a real queue of libnffi, and calls as Lua makes them.
 *
 * <pre>{@code
 * try (TestRuntime runtime = TestRuntime.serve(App.create())) {
 *     Greeting greeting = runtime.call("hello", new Hello("Ada"), Greeting.class, codec);
 *     assertEquals("hello Ada", greeting.text());
 * }
 * }</pre>
 */
public final class TestRuntime implements AutoCloseable {
    private static final long MAX_END_MS = 10_000;
    private static final int THREADS = 4;
    private static final int DEFAULT_WINDOW = 65_536;

    private final long host;
    private final TestInstance instance;

    private interface Starter {
        TestInstance start(long queue);
    }

    private TestRuntime(Starter starter) {
        host = HostNatives.create(0);
        if (host < 0) {
            throw new IllegalStateException("no queue: " + HostNatives.errorText((int) host));
        }
        instance = starter.start(HostNatives.queue(host));
    }

    /** Runs a handler. */
    public static TestRuntime serve(Handler handler) {
        return serve(handler, null);
    }

    /** Runs a handler whose calls see a configuration: null, a string, or maps and lists. */
    public static TestRuntime serve(Handler handler, Object config) {
        return new TestRuntime(queue -> TestInstance.serve(queue, handler, config, THREADS));
    }

    /**
     * Runs what nginx would: {@code {"module": "com.example.App", "config": ...}}, or
     * "class,function,configuration".
     */
    public static TestRuntime load(String settings) {
        return new TestRuntime(queue -> TestInstance.load(queue, settings));
    }

    /** Calls a method with bytes; "" is runtime:call(bytes) in Lua. */
    public byte[] call(String method, byte[] data) throws CallFailed {
        try (TestCall call = begin(method, data, 0)) {
            return call.await();
        }
    }

    /** Calls a method with a value, as rt.methods in Lua does. */
    public <T> T call(String method, Object value, Class<T> type, Codec codec) throws Exception {
        return type.cast(codec.decode(call(method, codec.encode(value)), (Type) type));
    }

    /** Begins a call; a timeout of 0 is none. */
    public TestCall begin(String method, byte[] data, int timeoutMs) throws CallFailed {
        return new TestCall(host, method, data, timeoutMs, 0);
    }

    /** Begins a call whose response is read in chunks. */
    public TestCall stream(String method, byte[] data) throws CallFailed {
        return stream(method, data, 0, DEFAULT_WINDOW);
    }

    /** The same; as many bytes may be unread. */
    public TestCall stream(String method, byte[] data, int timeoutMs, int window)
            throws CallFailed {
        return new TestCall(host, method, data, timeoutMs, window);
    }

    /** The number of calls without a response, cancelled ones included. */
    public int unanswered() {
        return HostNatives.unanswered(host);
    }

    /** No more calls, as runtime:close() in Lua; those under way are answered. Does not wait. */
    public void beginClose() {
        HostNatives.close(host);
    }

    /** Closes it, and waits for its end. */
    @Override
    public void close() {
        beginClose();
        boolean ended;
        try {
            ended = instance.ended(MAX_END_MS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            return;
        }
        if (!ended) {
            throw new IllegalStateException(
                    unanswered() + " calls have not ended after " + MAX_END_MS + " ms");
        }
    }
}
