package nffi.testing;

import static nffi.testing.Checks.equal;
import static nffi.testing.Checks.fails;
import static nffi.testing.Checks.holds;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.SubmissionPublisher;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import nffi.Call;
import nffi.Config;
import nffi.Handler;
import nffi.Methods;

/** Deadlines, cancellation, streams, start and end. */
public final class LifeTest implements Handler {
    private final String greeting;

    private LifeTest() {
        greeting = "";
    }

    /** As Lua would have it made: {"module": "nffi.testing.LifeTest"}. */
    public LifeTest(Config config) {
        greeting = config.get("greeting", "hello");
        if (greeting.isEmpty()) throw new IllegalArgumentException("greeting is empty");
    }

    @Override
    public void handle(Call call) {
        call.respond(greeting + " " + call.text());
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    public static void theDeadlineIsPassedOn() throws Exception {
        Methods methods = new Methods().add("left", Object.class, (context, request) ->
                context.timeLeft().map(left -> left.toSeconds()).orElse(-1L)
                        + (context.deadline().isPresent() ? " until then" : ""));
        try (TestRuntime runtime = TestRuntime.serve(methods);
                TestCall minute = runtime.begin("left", null, 60_000)) {
            equal(text(minute.await()), "\"59 until then\"");
            equal(text(runtime.call("left", null)), "\"-1\"");
        }
    }

    public static void aCallerThatDisconnectsCancelsTheCall() throws Exception {
        BlockingQueue<String> seen = new ArrayBlockingQueue<>(10);
        Methods methods = new Methods()
                .bytes("interrupted", (context, bytes) -> {
                    context.interruptOnCancel();
                    seen.add("entered");
                    try {
                        Thread.sleep(60_000);
                    } catch (InterruptedException interrupted) {
                        seen.add("interrupted");
                    }
                    return null;
                })
                .bytes("notified", (context, bytes) -> {
                    CountDownLatch notified = new CountDownLatch(1);
                    context.onCancel(() -> seen.add("unregistered")).run();
                    context.onCancel(notified::countDown);
                    seen.add("entered");
                    notified.await();
                    fails(CancellationException.class, context::checkCancelled);
                    seen.add("notified");
                    return null;
                })
                .bytes("flag", (context, bytes) -> {
                    seen.add("flag " + Thread.interrupted());
                    return null;
                });
        try (TestRuntime runtime = TestRuntime.serve(methods)) {
            for (String how : List.of("interrupted", "notified")) {
                try (TestCall call = runtime.begin(how, null, 0)) {
                    equal(seen.poll(10, TimeUnit.SECONDS), "entered");
                    call.cancel();
                    equal(fails(CallFailed.class, call::await).code(), "cancelled");
                }
                equal(seen.poll(10, TimeUnit.SECONDS), how);
            }
            // the time of a caller is over
            try (TestCall call = runtime.begin("interrupted", null, 30)) {
                equal(fails(CallFailed.class, call::await).code(), "timeout");
            }
            equal(seen.poll(10, TimeUnit.SECONDS), "entered");
            equal(seen.poll(10, TimeUnit.SECONDS), "interrupted");
            for (int i = 0; i < 4; i++) {
                runtime.call("flag", null);
                equal(seen.poll(10, TimeUnit.SECONDS), "flag false");
            }
        }
    }

    private static Methods streams(AtomicInteger sent) {
        return new Methods()
                .stream("count", Map.class, (context, request, out) -> {
                    long n = (Long) request.get("n");
                    for (int i = 0; i < n; i++) {
                        out.send(i);
                        sent.incrementAndGet();
                    }
                })
                .each("each", Object.class, (context, request) ->
                        IntStream.range(0, 50).boxed())
                .publish("publish", Object.class, (context, request) -> {
                    SubmissionPublisher<Integer> publisher = new SubmissionPublisher<>();
                    new Thread(() -> {
                        while (publisher.getNumberOfSubscribers() == 0) Thread.onSpinWait();
                        for (int i = 0; i < 50; i++) publisher.submit(i);
                        publisher.close();
                    }).start();
                    return publisher;
                })
                .stream("breaks", Object.class, (context, request, out) -> {
                    out.send(1);
                    throw new IllegalStateException("half way");
                })
                .handler("bytes", call -> {
                    call.chunks().write(bytes("one"));
                    call.chunks().write(new byte[0]);
                    call.chunks().write(java.nio.ByteBuffer.wrap(bytes("two")));
                });
    }

    private static List<String> lines(int n) {
        return List.of(IntStream.range(0, n).mapToObj(i -> i + "\n").toArray(String[]::new));
    }

    public static void streamsGiveTheirValues() throws Exception {
        AtomicInteger sent = new AtomicInteger();
        try (TestRuntime runtime = TestRuntime.serve(streams(sent))) {
            try (TestCall call = runtime.stream("count", bytes("{\"n\":100}"))) {
                equal(call.readAll(), lines(100));
            }
            for (String name : List.of("each", "publish")) {
                try (TestCall call = runtime.stream(name, null)) {
                    equal(call.readAll(), lines(50));
                }
                holds(text(runtime.call(name, null)).startsWith("[0,1,2,"), name);
            }
            try (TestCall call = runtime.stream("bytes", null)) {
                equal(call.readAll(), List.of("one", "", "two"));
            }
            equal(text(runtime.call("bytes", null)), "onetwo");
            equal(text(runtime.call("count", bytes("{\"n\":3}"))), "[0,1,2]");
            equal(text(runtime.call("count", bytes("{\"n\":0}"))), "[]");
            try (TestCall call = runtime.stream("breaks", null)) {
                equal(text(call.read()), "1\n");
                equal(call.read(), null);
                equal(fails(CallFailed.class, call::await).getMessage(),
                        "java.lang.IllegalStateException: half way");
            }
        }
    }

    public static void aSlowReaderSlowsTheStreamAndOneWhoGoesEndsIt() throws Exception {
        AtomicInteger sent = new AtomicInteger();
        try (TestRuntime runtime = TestRuntime.serve(streams(sent));
                TestCall call = runtime.stream("count", bytes("{\"n\":1000000}"))) {
            equal(text(call.read()), "0\n");
            for (int before = -1; before != sent.get(); Thread.sleep(50)) before = sent.get();
            holds(sent.get() < 20, sent.get());
            call.cancel();
            for (int i = 0; i < 500 && runtime.unanswered() > 0; i++) Thread.sleep(10);
            equal(runtime.unanswered(), 0);
            holds(sent.get() < 40, sent.get());
        }
    }

    public static void closingWaitsForCallsUnderWay() throws Exception {
        CountDownLatch entered = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        AtomicBoolean closed = new AtomicBoolean();
        Methods methods = new Methods().bytes("", (context, bytes) -> {
            entered.countDown();
            release.await();
            return bytes("done");
        }).closing(() -> closed.set(true));
        TestRuntime runtime = TestRuntime.serve(methods);
        try (TestCall call = runtime.begin("", null, 0)) {
            entered.await();
            runtime.beginClose();
            equal(fails(CallFailed.class, () -> runtime.call("", null)).code(), "closed");
            Thread.sleep(50);
            holds(!closed.get(), "closed with a call under way");
            release.countDown();
            equal(text(call.await()), "done");
            runtime.close();
            holds(closed.get(), "not closed");
        }
    }

    public static void aClassIsFoundAndConfigured() throws Exception {
        String module = "\"module\":\"nffi.testing.LifeTest\"";
        try (TestRuntime runtime = TestRuntime.load("{" + module + "}")) {
            equal(text(runtime.call("", bytes("Ada"))), "hello Ada");
        }
        try (TestRuntime runtime = TestRuntime.load(
                "{" + module + ",\"config\":{\"greeting\":\"hi\"}}")) {
            equal(text(runtime.call("", bytes("Ada"))), "hi Ada");
        }
        try (TestRuntime runtime = TestRuntime.load("nffi.testing.LifeTest,shout,")) {
            equal(text(runtime.call("", bytes("Ada"))), "ADA!");
        }
        try (TestRuntime runtime = TestRuntime.load("nffi.testing.LifeTest,make,a,b")) {
            equal(text(runtime.call("", bytes("x"))), "a,b x");
        }
    }

    public static String shout(String text) {
        return text.toUpperCase(java.util.Locale.ROOT) + "!";
    }

    public static Handler make(Config config) {
        return call -> call.respond(config.text() + " " + call.text());
    }

    public static void whatDoesNotStartSaysWhy() throws Exception {
        Map<String, String> reasons = Map.of(
                "com.example.None", "class com.example.None not found in the classpath: ",
                "java.lang.String", "the class java.lang.String implements no nffi.Handler and",
                "nffi.testing.LifeTest,none,", "has no public static method none: ",
                "{\"module\":\"nffi.testing.LifeTest\",\"config\":{\"greeting\":\"\"}}",
                "java.lang.IllegalArgumentException: greeting is empty",
                "{\"module\":\"x.Y\",\"classpath\":[\"/none.jar\"]}",
                "classpath: /none.jar not found");
        for (Map.Entry<String, String> one : reasons.entrySet()) {
            try (TestRuntime runtime = TestRuntime.load(one.getKey())) {
                CallFailed failed = fails(CallFailed.class, () -> runtime.call("", null));
                holds(failed.getMessage().startsWith("the runtime did not start: ")
                        && failed.getMessage().contains(one.getValue()), failed.getMessage());
            }
        }
    }
}
