package nffi.testing;

import static nffi.testing.Checks.equal;
import static nffi.testing.Checks.fails;
import static nffi.testing.Checks.holds;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import nffi.NffiException;
import nffi.Json;
import nffi.Methods;

/** Calls and their responses. */
final class CallsTest {
    private CallsTest() {}

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static Methods echo() {
        return new Methods()
                .bytes("", (context, bytes) -> bytes)
                .bytes("inline", (context, bytes) -> bytes)
                .inline("inline")
                .handler("view", call -> {
                    ByteBuffer copy = ByteBuffer.allocateDirect(call.buffer().remaining());
                    call.respond(copy.put(call.buffer()).flip());
                })
                .handler("heap", call -> call.respond(ByteBuffer.wrap(call.bytes())))
                .handler("later", call ->
                        call.respond(CompletableFuture.supplyAsync(call::bytes)));
    }

    public static void bytesOfAnySizeAreReturned() throws Exception {
        try (TestRuntime runtime = TestRuntime.serve(echo())) {
            for (String method : List.of("", "inline", "view", "heap", "later")) {
                for (int size : new int[] {0, 1, 4096, 4097, 300_000, 5_000_000}) {
                    byte[] sent = new byte[size];
                    for (int i = 0; i < size; i++) sent[i] = (byte) (i * 31);
                    byte[] got = runtime.call(method, sent);
                    holds(Arrays.equals(got, sent), method + " " + size + ": " + got.length);
                }
            }
        }
    }

    public static void valuesAreJson() throws Exception {
        Methods methods = new Methods()
                .add("hello", Map.class, (context, request) ->
                        Map.of("greeting", "hello " + request.get("name")))
                .add("null", Object.class, (context, request) -> request)
                .add("unsound", Object.class, (context, request) -> new Object());
        try (TestRuntime runtime = TestRuntime.serve(methods)) {
            equal(runtime.call("hello", Map.of("name", "Ada \"\u00e9\n"), Map.class, Json.codec()),
                    Map.of("greeting", "hello Ada \"\u00e9\n"));
            equal(text(runtime.call("null", bytes("null"))), "null");
            equal(text(runtime.call("null", null)), "null");
            CallFailed wrong = fails(CallFailed.class, () -> runtime.call("hello", bytes("[1]")));
            holds(wrong.getMessage().startsWith("request: expected java.util.Map, got a list"),
                    wrong.getMessage());
            wrong = fails(CallFailed.class, () -> runtime.call("hello", bytes("{\"a\" 1}")));
            equal(wrong.getMessage(), "request: no JSON: expected \":\" (at \"1}\")");
            wrong = fails(CallFailed.class, () -> runtime.call("unsound", null));
            holds(wrong.getMessage().contains("JSON: it is a java.lang.Object"), wrong.getMessage());
        }
    }

    public static void jsonIsReadAndWritten() throws Exception {
        String text = "{\"a\":[1,-2.5,1.0E20,true,false,null,\"\\u0001\\\\\\\"\u20ac\"],\"b\":{}}";
        equal(Json.write(Json.read(text)), text);
        equal(Json.read("\"\\ud83d\\ude00\\/\""), "\ud83d\ude00/");
        equal(Json.read(" 12345678901234567890 "), new BigInteger("12345678901234567890"));
        equal(Json.read("-9223372036854775808"), Long.MIN_VALUE);
        equal(Json.read("1732900000123456"), 1732900000123456L);
        equal(Json.write("thumbs \ud83d, \ud83d\ude00"), "\"thumbs \ufffd, \ud83d\ude00\"");
        fails(IllegalArgumentException.class, () -> Json.read(new byte[] {'"', (byte) 0xff, '"'}));
        for (String wrong : List.of("", "{", "[1,]", "01", "\"a", "nul", "1 2", "{\"a\"}", "\"\\x\"",
                "[".repeat(10_000))) {
            fails(IllegalArgumentException.class, () -> Json.read(wrong));
        }
        List<Object> endless = new ArrayList<>();
        endless.add(endless);
        for (Object wrong : List.of(Double.NaN, Float.POSITIVE_INFINITY, new byte[1],
                new Exception("no"), Instant.EPOCH, Optional.of(1), Map.of(List.of(), 1), endless)) {
            String message = fails(IllegalArgumentException.class,
                    () -> Json.write(Map.of("items", List.of(1, wrong)))).getMessage();
            holds(message.contains("result.items[1]"), message);
        }
    }

    public static void anUnknownMethodIsNamed() throws Exception {
        Methods methods = new Methods().bytes("b", (c, b) -> b).bytes("a", (c, b) -> b);
        try (TestRuntime runtime = TestRuntime.serve(methods)) {
            equal(fails(CallFailed.class, () -> runtime.call("c", null)).getMessage(),
                    "unknown method \"c\"; methods: a, b");
            equal(fails(CallFailed.class, () -> runtime.call("", null)).getMessage(),
                    "a call without a method has no handler; methods: a, b");
        }
    }

    private static int endless(int depth) {
        return 1 + endless(depth + 1);
    }

    private static byte[] tooLarge() {
        List<byte[]> all = new ArrayList<>();
        for (int i = 0; i < 1000; i++) all.add(new byte[Integer.MAX_VALUE - 8]);
        return all.get(0);
    }

    public static void whatIsThrownFailsThatCallOnly() throws Exception {
        Methods methods = echo()
                .bytes("throws", (c, b) -> {
                    throw new IllegalStateException("no luck");
                })
                .bytes("detail", (c, b) -> {
                    throw new NffiException("no luck", "line 1");
                })
                .bytes("code", (c, b) -> {
                    throw new NffiException("no luck", 7);
                })
                .async("async", Object.class, (c, request) ->
                        CompletableFuture.supplyAsync(() -> {
                            throw new IllegalStateException("later");
                        }))
                .bytes("deep", (c, b) -> new byte[endless(0)])
                .bytes("large", (c, b) -> tooLarge())
                .handler("silent", call -> {})
                .bytes("inline throws", (c, b) -> {
                    throw new IllegalStateException("no luck");
                })
                .inline("inline throws");
        try (TestRuntime runtime = TestRuntime.serve(methods)) {
            for (String name : List.of("throws", "inline throws")) {
                CallFailed thrown = fails(CallFailed.class, () -> runtime.call(name, null));
                equal(thrown.getMessage(), "java.lang.IllegalStateException: no luck");
                equal(thrown.code(), "runtime_error");
                holds(thrown.detail().contains("CallsTest.java:"), thrown.detail());
            }
            equal(fails(CallFailed.class, () -> runtime.call("detail", null)).detail(), "line 1");
            equal(fails(CallFailed.class, () -> runtime.call("code", null)).rc(), 7);
            equal(fails(CallFailed.class, () -> runtime.call("async", null)).getMessage(),
                    "java.lang.IllegalStateException: later");
            holds(fails(CallFailed.class, () -> runtime.call("deep", null)).getMessage()
                    .startsWith("java.lang.StackOverflowError"), "deep");
            holds(fails(CallFailed.class, () -> runtime.call("large", null)).getMessage()
                    .startsWith("java.lang.OutOfMemoryError"), "large");
            equal(fails(CallFailed.class, () -> runtime.call("silent", null)).getMessage(),
                    "java.lang.IllegalStateException: the handler has not responded");
            equal(text(runtime.call("", bytes("on"))), "on");
        }
    }

    public static void manyCallsAtOnceGetTheirOwnResponses() throws Exception {
        Methods methods = echo().bytes("wait", (c, b) -> {
            Thread.sleep(1);
            return b;
        });
        ExecutorService callers = Executors.newFixedThreadPool(32);
        try (TestRuntime runtime = TestRuntime.serve(methods)) {
            List<Future<?>> all = new ArrayList<>();
            for (int i = 0; i < 400; i++) {
                String method = List.of("", "inline", "wait", "later").get(i % 4);
                int number = i;
                all.add(callers.submit(() -> {
                    for (int j = 0; j < 25; j++) {
                        // some are larger than what goes in a batch
                        String sent = (method + " " + number + " " + j).repeat(1 + number * j / 8);
                        equal(text(runtime.call(method, bytes(sent))), sent);
                    }
                    return null;
                }));
            }
            for (Future<?> one : all) one.get(60, TimeUnit.SECONDS);
            equal(runtime.unanswered(), 0);
        } finally {
            callers.shutdownNow();
        }
    }

    public static void aSlowCallHoldsUpNobody() throws Exception {
        CountDownLatch release = new CountDownLatch(1);
        Methods methods = echo().bytes("slow", (c, b) -> {
            release.await();
            return b;
        });
        try (TestRuntime runtime = TestRuntime.serve(methods);
                TestCall slow = runtime.begin("slow", bytes("x"), 0)) {
            for (int i = 0; i < 100; i++) runtime.call("", null);
            release.countDown();
            equal(text(slow.await()), "x");
        }
    }
}
