package nffi.testing;

import static nffi.testing.Checks.equal;
import static nffi.testing.Checks.fails;
import static nffi.testing.Checks.holds;

import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import nffi.Config;
import nffi.Handler;
import nffi.Methods;
import nffi.NffiException;

/** Whatever the code of a user throws, its call ends with an error, and no other call suffers. */
public final class FailingTest {
    private static final int TIMEOUT_MS = 20_000;
    private static final String ODD = "nffi.testing.FailingTest$Odd";

    private FailingTest() {}

    /** Each of its methods does something else instead. */
    private static class Odd extends Exception {
        private static final long serialVersionUID = 1;
        private final transient Supplier<String> text;

        Odd(Supplier<String> text) {
            this.text = text;
        }

        @Override
        public String toString() {
            return text.get();
        }

        @Override
        public String getMessage() {
            return text.get();
        }

        @Override
        public void printStackTrace(PrintWriter out) {
            out.print(text.get().length());
        }

        @Override
        public void printStackTrace(PrintStream out) {
            throw new IllegalStateException();
        }
    }

    private static final class OddKnown extends NffiException {
        private static final long serialVersionUID = 1;

        OddKnown() {
            super("odd");
        }

        @Override
        public String detail() {
            throw new IllegalStateException();
        }

        @Override
        public int code() {
            throw new IllegalStateException();
        }
    }

    private static final class Wrapper extends CompletionException {
        private static final long serialVersionUID = 1;

        @Override
        public synchronized Throwable getCause() {
            return this;
        }
    }

    private static <T extends Throwable> RuntimeException raise(Throwable thrown) throws T {
        @SuppressWarnings("unchecked") // the compiler need not know
        T any = (T) thrown;
        throw any;
    }

    private static String deep() {
        return deep() + "x";
    }

    /** What is thrown, and how its message begins. */
    private static final Map<String, Supplier<Throwable>> THROWN = new LinkedHashMap<>();
    private static final Map<String, String> MESSAGES = new LinkedHashMap<>();

    private static void thrown(String name, String message, Supplier<Throwable> make) {
        THROWN.put(name, make);
        MESSAGES.put(name, message);
    }

    static {
        thrown("throws", ODD, () -> new Odd(() -> {
            throw FailingTest.<RuntimeException>raise(new IllegalStateException("no luck"));
        }));
        thrown("null text", ODD, () -> new Odd(() -> null));
        thrown("no stack left", ODD, () -> new Odd(FailingTest::deep));
        thrown("odd error", ODD, () -> new Odd(() -> {
            throw FailingTest.<RuntimeException>raise(new Error("no luck"));
        }));
        thrown("attributes", "odd", OddKnown::new);
        thrown("wraps itself", "nffi.testing.FailingTest$Wrapper", Wrapper::new);
        thrown("neither", "java.lang.Throwable: odd", () -> new Throwable("odd"));
        thrown("error", "java.lang.Error: odd", () -> new Error("odd"));
        thrown("null", "java.lang.NullPointerException", () -> null);
        thrown("no message", "nffi.NffiException", () -> new NffiException(null));
    }

    private static RuntimeException raise(String name) {
        Throwable thrown = THROWN.get(name).get();
        if (thrown == null) throw (RuntimeException) null;
        return FailingTest.<RuntimeException>raise(thrown);
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static Methods methods() {
        return new Methods()
                .bytes("echo", (context, bytes) -> bytes)
                .bytes("plain", (context, bytes) -> fail(bytes))
                .bytes("inline", (context, bytes) -> fail(bytes))
                .async("later", String.class, (context, name) ->
                        CompletableFuture.failedFuture(THROWN.get(name).get()))
                .stream("stream", String.class, (context, name, out) -> {
                    out.send(1);
                    throw raise(name);
                })
                .<String, Object>publish("publish", String.class, (context, name) -> reader ->
                        reader.onSubscribe(new Flow.Subscription() {
                            @Override
                            public void request(long n) {
                                throw raise(name);
                            }

                            @Override
                            public void cancel() {
                                throw raise(name);
                            }
                        }))
                .inline("inline");
    }

    private static byte[] fail(byte[] name) {
        throw raise(text(name));
    }

    public static void aThrowingHandlerFailsOnlyItsCall() throws Exception {
        try (TestRuntime runtime = TestRuntime.serve(methods())) {
            List<TestCall> others = new ArrayList<>();
            for (String method : List.of("plain", "inline", "later", "stream", "publish")) {
                boolean isJson = !method.equals("plain") && !method.equals("inline");
                Map<String, TestCall> calls = new LinkedHashMap<>();
                for (String name : THROWN.keySet()) {
                    byte[] data = bytes(isJson ? "\"" + name + "\"" : name);
                    calls.put(name, runtime.begin(method, data, TIMEOUT_MS));
                    others.add(runtime.begin("echo", bytes(name), TIMEOUT_MS));
                }
                for (Map.Entry<String, TestCall> one : calls.entrySet()) {
                    CallFailed failed = fails(CallFailed.class, one.getValue()::await);
                    String message = method + ", " + one.getKey() + ": " + failed.code() + ": "
                            + failed.getMessage();
                    equal(failed.code(), "runtime_error");
                    holds(failed.getMessage().startsWith(MESSAGES.get(one.getKey())), message);
                    one.getValue().close();
                }
            }
            for (TestCall call : others) {
                call.await();
                call.close();
            }
        }
    }

    public static Handler make(Config config) throws Exception {
        throw raise(config.text());
    }

    public static void aStartThatThrowsAnythingIsAnErrorOfItsCalls() throws Exception {
        for (String name : THROWN.keySet()) {
            String module = "nffi.testing.FailingTest,make," + name;
            try (TestRuntime runtime = TestRuntime.load(module)) {
                CallFailed failed = fails(CallFailed.class, () -> runtime.call("", null));
                holds(failed.getMessage().startsWith(
                        "the runtime did not start: " + MESSAGES.get(name)), failed.getMessage());
            }
        }
    }

    public static void actionsThatThrowAnythingKeepNoOtherFromRunning() throws Exception {
        CountDownLatch ran = new CountDownLatch(1);
        CountDownLatch entered = new CountDownLatch(1);
        Methods methods = methods().bytes("wait", (context, bytes) -> {
            for (String name : THROWN.keySet()) context.onCancel(() -> raise(name));
            context.onCancel(ran::countDown);
            entered.countDown();
            ran.await(TIMEOUT_MS, TimeUnit.MILLISECONDS);
            // this one runs immediately
            context.onCancel(() -> raise("error"));
            return null;
        });
        try (TestRuntime runtime = TestRuntime.serve(methods);
                TestCall call = runtime.begin("wait", null, 0)) {
            entered.await();
            call.cancel();
            holds(ran.await(TIMEOUT_MS, TimeUnit.MILLISECONDS), "the last action did not run");
            equal(text(runtime.call("echo", bytes("after"))), "after");
        }
    }

    public static void anEndThatThrowsAnythingIsAnEnd() throws Exception {
        for (String name : THROWN.keySet()) {
            TestRuntime.serve(methods().closing(() -> raise(name))).close();
        }
    }

    public static void responsesNeedNoDirectMemory() throws Exception {
        List<ByteBuffer> taken = new ArrayList<>();
        try (TestRuntime runtime = TestRuntime.serve(methods().inline("echo"))) {
            for (int size = 16 << 20; size >= 1 << 16; ) {
                try {
                    taken.add(ByteBuffer.allocateDirect(size));
                } catch (OutOfMemoryError noMemory) {
                    size /= 4;
                }
            }
            List<TestCall> calls = new ArrayList<>();
            for (int i = 0; i < 40; i++) calls.add(runtime.begin("echo", bytes("" + i), TIMEOUT_MS));
            for (int i = 0; i < 40; i++) equal(text(calls.get(i).await()), "" + i);
            for (TestCall call : calls) call.close();
        } finally {
            taken.clear();
        }
    }
}
