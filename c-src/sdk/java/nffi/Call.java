package nffi;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * One call, from the queue to its response. The first response is sent, and later ones are
 * discarded. Any thread may respond.
 */
public final class Call implements Context {
    /** The call whose handler runs in this thread. */
    private static final ThreadLocal<Call> CURRENT = new ThreadLocal<>();

    final Instance instance;
    final long task;
    private final String method;
    private final long deadline;
    private final boolean isStreamed;
    private final byte[] small;

    private volatile Generation generation;
    /** 1: answered. No AtomicBoolean: it is made of method handles, whose first use takes 2 ms. */
    private final AtomicInteger answers = new AtomicInteger();
    private volatile boolean isLater;
    private volatile boolean isCancelled;
    private volatile Chunks chunks;
    /** Under this call's monitor, as the next. */
    private List<Runnable> actions;
    private Thread interrupted;

    Call(Instance instance, Batch batch, int i) {
        this.instance = instance;
        this.task = batch.task(i);
        this.method = batch.method(i);
        this.deadline = batch.deadline(i);
        this.isStreamed = batch.isStreamed(i);
        this.small = batch.bytes(i);
    }

    static Call current() {
        return CURRENT.get();
    }

    @Override
    public String method() {
        return method;
    }

    @Override
    public Config config() {
        return instance.settings().config();
    }

    /** The bytes of the request. */
    public byte[] bytes() {
        if (small != null) return small;
        byte[] bytes = Native.requestBytes(task);
        if (bytes == null) throw new IllegalStateException("the call was answered");
        return bytes;
    }

    /** The bytes of the request as text in UTF-8. */
    public String text() {
        return new String(bytes(), StandardCharsets.UTF_8);
    }

    /**
     * The bytes of the request without a copy: memory of the queue, which must not be accessed
     * after the response.
     */
    public ByteBuffer buffer() {
        if (small != null) return ByteBuffer.wrap(small).asReadOnlyBuffer();
        ByteBuffer view = Native.requestView(task);
        if (view == null) throw new IllegalStateException("the call was answered");
        return view.asReadOnlyBuffer();
    }

    /** Whether Lua reads chunks; otherwise it gets the chunks in a row. */
    public boolean isStreamed() {
        return isStreamed;
    }

    /** Responds with bytes, which must not change afterwards; null means no bytes. */
    public void respond(byte[] data) {
        send(Response.of(task, data));
    }

    /** Responds with the remaining bytes of a buffer, which must not change afterwards. */
    public void respond(ByteBuffer data) {
        send(Response.of(task, data));
    }

    /** It is there before the call ends: there may be no memory for it. */
    private void send(Response response) {
        if (end()) instance.responses().add(response);
    }

    /** Responses with text in UTF-8. */
    public void respond(String text) {
        respond(text == null ? null : text.getBytes(StandardCharsets.UTF_8));
    }

    /** Responds with the bytes of a stage when it completes; no thread waits for it. */
    public void respond(CompletionStage<byte[]> later) {
        later();
        later.whenComplete((data, thrown) -> {
            try {
                if (thrown != null) fail(thrown);
                else respond(data);
            } catch (Throwable again) {
                fail(again);
            }
        });
    }

    /** The call fails. */
    public void fail(Throwable thrown) {
        fail(Failure.of(thrown));
    }

    void fail(Failure failure) {
        if (!end()) return;
        try {
            instance.responses().add(Response.failure(task, failure));
        } catch (OutOfMemoryError noMemory) {
            Native.respondError(task, failure.message, failure.detail);
        }
    }

    /** The response comes after the handler has returned, perhaps from another thread. */
    public void later() {
        isLater = true;
    }

    /** The response in chunks. It ends with the handler, or after {@link #later} by its end(). */
    public synchronized Chunks chunks() {
        if (chunks == null) {
            if (isAnswered()) throw new IllegalStateException("the call was answered");
            chunks = new Chunks(this);
        }
        return chunks;
    }

    /** Ends a stream that has not failed. */
    void endStream() {
        if (!end()) return;
        int result = Native.streamEnd(task);
        if (result != Native.OK) Responses.reportUnsent(task, result);
    }

    /** Runs in threads of the code that was loaded last. */
    void begin(Generation generation) {
        this.generation = generation;
        generation.run(this);
    }

    /** In a thread of its code. */
    void execute(Runnable action) {
        generation.execute(action);
    }

    /** Ends a call that could not begin. The caller responds. */
    void endUnstarted() {
        end();
    }

    /** Runs the handler, and responds in any case. */
    void run(Handler handler) {
        CURRENT.set(this);
        try {
            handler.handle(this);
            if (!isLater && !isAnswered()) finish();
        } catch (Throwable thrown) {
            fail(thrown);
        } finally {
            CURRENT.remove();
            stopInterrupts();
        }
    }

    private void finish() {
        if (chunks != null) chunks.end();
        else fail(new IllegalStateException("the handler has not responded"));
    }

    /** True for the caller that ends the call: it must send the response. */
    private boolean end() {
        if (!answers.compareAndSet(0, 1)) return false;
        instance.ended(this);
        if (generation != null) generation.release();
        synchronized (this) {
            actions = null;
        }
        return true;
    }

    boolean isAnswered() {
        return answers.get() != 0;
    }

    @Override
    public Optional<Instant> deadline() {
        return timeLeftInNs().map(left -> Instant.now().plusNanos(left));
    }

    @Override
    public Optional<Duration> timeLeft() {
        return timeLeftInNs().map(left -> Duration.ofNanos(Math.max(0, left)));
    }

    private Optional<Long> timeLeftInNs() {
        return deadline == 0 ? Optional.empty() : Optional.of(deadline - Native.now());
    }

    @Override
    public boolean isCancelled() {
        return isCancelled || isAnswered() || Native.isCancelled(task);
    }

    @Override
    public void checkCancelled() {
        if (isCancelled()) throw new CancellationException("the call was cancelled");
    }

    @Override
    public Runnable onCancel(Runnable action) {
        synchronized (this) {
            if (isAnswered()) return () -> { };
            // a cancellation is reported once, perhaps before the handler registers
            if (!isCancelled && !Native.isCancelled(task)) {
                if (actions == null) actions = new ArrayList<>();
                actions.add(action);
                return () -> remove(action);
            }
        }
        runSafely(action);
        return () -> { };
    }

    private synchronized void remove(Runnable action) {
        if (actions != null) actions.removeIf(one -> one == action);
    }

    @Override
    public void interruptOnCancel() {
        Thread thread = Thread.currentThread();
        synchronized (this) {
            if (CURRENT.get() != this) throw new IllegalStateException("only in the handler");
            interrupted = thread;
        }
        onCancel(this::interrupt);
    }

    private synchronized void interrupt() {
        if (interrupted != null) interrupted.interrupt();
    }

    private synchronized void stopInterrupts() {
        if (interrupted == null) return;
        interrupted = null;
        // not meant for the next call of this thread
        Thread.interrupted();
    }

    /** Cancels the call. Called by the polling thread. */
    void cancelled() {
        List<Runnable> registered;
        synchronized (this) {
            isCancelled = true;
            registered = actions;
            actions = null;
        }
        writable();
        if (registered != null) registered.forEach(Call::runSafely);
    }

    private static void runSafely(Runnable action) {
        try {
            action.run();
        } catch (Throwable thrown) {
            Output.line(Level.ERROR, "an action on cancellation failed: "
                    + Failure.describe(thrown));
        }
    }

    /** A stream has credit again, or never will. */
    void writable() {
        Chunks written = chunks;
        if (written != null) written.credit();
    }

    @Override
    public boolean log(Level level, String text) {
        return Native.log(task, level.number(), text.getBytes(StandardCharsets.UTF_8))
                == Native.OK;
    }
}
