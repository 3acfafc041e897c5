package nffi;

import java.lang.reflect.Type;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.stream.Stream;

/**
 * Maps each method to a function. Functions take and return values, which a {@link
 * Codec} converts from and to bytes: in Lua, {@code rt.methods:hello({ name = "Ada" })}.
 *
 * <pre>{@code
 * new Methods(new JacksonCodec())
 *     .add("hello", Hello.class, (context, hello) -> new Greeting("hello " + hello.name()))
 *     .async("find", Query.class, (context, query) -> database.find(query))
 *     .stream("ticks", Ticks.class, (context, ticks, out) -> out.send(Instant.now()))
 *     .bytes("echo", (context, bytes) -> bytes);
 * }</pre>
 *
 * It must not be changed after it is registered.
 */
public final class Methods implements Handler {
    /** A function of a request that returns its response. */
    @FunctionalInterface
    public interface Function<Q, R> {
        R apply(Context context, Q request) throws Exception;
    }

    /** A function that responds later; no thread waits for it. */
    @FunctionalInterface
    public interface Async<Q, R> {
        CompletionStage<? extends R> apply(Context context, Q request) throws Exception;
    }

    /** A function that writes its response in chunks, and ends the stream by returning. */
    @FunctionalInterface
    public interface Streaming<Q, R> {
        void apply(Context context, Q request, Sender<R> out) throws Exception;
    }

    /** A function that responds with the values of a publisher, at the pace of the reader. */
    @FunctionalInterface
    public interface Publishing<Q, R> {
        Flow.Publisher<? extends R> apply(Context context, Q request) throws Exception;
    }

    /** Sends values to the stream of one call. */
    @FunctionalInterface
    public interface Sender<R> {
        /**
         * Sends one value; waits while Lua is slower.
         *
         * @throws java.util.concurrent.CancellationException the stream was cancelled: return
         */
        void send(R value) throws Exception;
    }

    private final Codec codec;
    private final Map<String, Handler> handlers = new HashMap<>();
    private final Map<String, Boolean> inline = new HashMap<>();
    private AutoCloseable closing;

    /** Values are maps, lists, strings, numbers and booleans: {@link Json}. */
    public Methods() {
        this(Json.codec());
    }

    public Methods(Codec codec) {
        this.codec = codec;
    }

    /** A call without bytes, and one with JSON's null, gets what the codec makes of it: null. */
    public <Q, R> Methods add(String name, Class<Q> type, Function<Q, R> function) {
        return addOf(name, type, function);
    }

    /** For a type with parameters: a list of something, say. */
    public <Q, R> Methods addOf(String name, Type type, Function<Q, R> function) {
        return handler(name, new Values<Q, R>(type, function));
    }

    public <Q, R> Methods async(String name, Class<Q> type, Async<Q, R> function) {
        return handler(name, call -> {
            CompletionStage<? extends R> stage = function.apply(call, this.<Q>request(call, type));
            call.later();
            stage.whenComplete((value, thrown) -> {
                try {
                    if (thrown != null) call.fail(thrown);
                    else call.respond(codec.encode(value));
                } catch (Throwable again) {
                    call.fail(again);
                }
            });
        });
    }

    /** A stream gets each value as a line; a plain call gets a list of them. */
    public <Q, R> Methods stream(String name, Class<Q> type, Streaming<Q, R> function) {
        return handler(name, call -> {
            ValueChunks chunks = new ValueChunks(call, codec);
            function.apply(call, this.<Q>request(call, type), value -> chunks.write(value));
            chunks.end();
        });
    }

    /** The same with a Stream, which is closed at the end and read as far as the reader goes. */
    public <Q, R> Methods each(String name, Class<Q> type,
            Function<Q, Stream<R>> function) {
        return this.<Q, R>stream(name, type, (context, request, out) -> {
            try (Stream<R> values = function.apply(context, request)) {
                for (R value : (Iterable<R>) values::iterator) out.send(value);
            }
        });
    }

    /** The same with a Publisher; no thread waits for its values or their reader. */
    public <Q, R> Methods publish(String name, Class<Q> type,
            Publishing<Q, R> function) {
        return handler(name, call -> {
            Flow.Publisher<? extends R> publisher =
                    function.apply(call, this.<Q>request(call, type));
            call.later();
            publisher.subscribe(new PublisherReader<R>(call, new ValueChunks(call, codec)));
        });
    }

    /** Bytes as they are; "" is for {@code runtime:call(bytes)}, which names no method. */
    public Methods bytes(String name, Function<byte[], byte[]> function) {
        return handler(name, new Bytes(function));
    }

    /** Anything else: the call itself is at hand. */
    public Methods handler(String name, Handler handler) {
        if (handlers.putIfAbsent(name, handler) != null) {
            throw new IllegalArgumentException("the method \"" + name + "\" already exists");
        }
        return this;
    }

    /** Methods that take microseconds and never wait: {@link Handler#isInline}. */
    public Methods inline(String... names) {
        for (String name : names) inline.put(name, true);
        return this;
    }

    /** What is closed when the runtime ends: a pool of connections, say. */
    public Methods closing(AutoCloseable closing) {
        this.closing = closing;
        return this;
    }

    @SuppressWarnings("unchecked") // the codec returns a value of the type
    private <Q> Q request(Call call, Type type) throws Exception {
        byte[] bytes = call.bytes();
        if (bytes.length == 0) return null;
        try {
            return (Q) codec.decode(bytes, type);
        } catch (Exception wrong) {
            throw new NffiException("request: " + wrong.getMessage(), Failure.stackOf(wrong));
        }
    }

    @Override
    public void handle(Call call) throws Exception {
        Handler handler = handlers.get(call.method());
        if (handler == null) throw missing(call.method());
        handler.handle(call);
    }

    @Override
    public boolean isInline(String method) {
        return inline.containsKey(method) || !handlers.containsKey(method);
    }

    @Override
    public void close() throws Exception {
        if (closing != null) closing.close();
    }

    /** No lambdas: the first one of a process costs 10 ms of its start. */
    private static final class Bytes implements Handler {
        private final Function<byte[], byte[]> function;

        Bytes(Function<byte[], byte[]> function) {
            this.function = function;
        }

        @Override
        public void handle(Call call) throws Exception {
            call.respond(function.apply(call, call.bytes()));
        }
    }

    private final class Values<Q, R> implements Handler {
        private final Type type;
        private final Function<Q, R> function;

        Values(Type type, Function<Q, R> function) {
            this.type = type;
            this.function = function;
        }

        @Override
        public void handle(Call call) throws Exception {
            Q request = request(call, type);
            call.respond(codec.encode(function.apply(call, request)));
        }
    }

    private NffiException missing(String name) {
        TreeSet<String> names = new TreeSet<>(handlers.keySet());
        names.remove("");
        String known = "; methods: " + String.join(", ", names);
        if (name.isEmpty()) return new NffiException("a call without a method has no handler" + known);
        return new NffiException("unknown method \"" + name + "\"" + known);
    }
}
