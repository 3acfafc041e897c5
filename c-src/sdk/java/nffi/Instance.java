package nffi;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** One runtime: its queue, its classes and its handler, from the start to the last response. */
final class Instance {
    private static final long FIRST_DELAY_MS = 100;
    private static final long LAST_DELAY_MS = 30_000;
    /** How often calls that outlive a closed queue are checked for cancellation. */
    private static final int CLOSED_TICK_MS = 20;
    /** The method with which Lua reloads the code: lua/resty/nffi/bridge.lua. */
    private static final String RELOAD = "\0reload";

    /** Makes the handler of a test. */
    interface Maker {
        Handler make(ClassLoader loader) throws Exception;
    }

    private final Settings settings;
    private final long queue;
    private final long poller;
    /** Null: the settings name the handler. */
    private final Maker maker;
    private final Batch batch = new Batch();
    private final Responses responses;
    /** Calls that are not answered, by task. */
    private final Map<Long, Call> running = new ConcurrentHashMap<>();

    private volatile boolean isStopped;
    private volatile boolean isPolling;
    private volatile Thread loop;
    private volatile Generation generation;
    private Stall stall;
    private final Object reloads = new Object();

    Instance(Settings settings, long queue) {
        this(settings, queue, null);
    }

    Instance(Settings settings, long queue, Maker maker) {
        this.settings = settings;
        this.queue = queue;
        this.maker = maker;
        try {
            responses = new Responses();
        } catch (OutOfMemoryError noMemory) {
            batch.free();
            throw noMemory;
        }
        this.poller = Native.open(queue);
        if (poller == 0) {
            freeMemory();
            throw new OutOfMemoryError("no memory to poll the queue");
        }
        Instances.add(this);
    }

    Settings settings() {
        return settings;
    }

    Responses responses() {
        return responses;
    }

    /** Makes the handler, or throws why it cannot. */
    void start() throws Exception {
        generation = Generation.load(settings, maker);
    }

    /** Reloads the code, and responds when the new code takes the calls. */
    private void reload(Call call) {
        Thread loading = new Thread(() -> {
            try {
                // one that is under way has perhaps read the files that were there before
                synchronized (reloads) {
                    Generation old = generation;
                    generation = Generation.load(settings, maker);
                    old.release();
                }
                Output.line(Level.NOTICE, "nffi: runtime \"" + settings.module() + "\": reloaded");
                call.respond((byte[]) null);
            } catch (Throwable thrown) {
                Failure failure = Failure.of(thrown);
                call.fail(Failure.of("the runtime \"" + settings.module() + "\" cannot be reloaded,"
                        + " the old code stays: " + failure.line(), text(failure.detail)));
            }
        }, "nffi " + settings.module() + " reload");
        loading.setDaemon(true);
        loading.start();
    }

    /** Starts, with retries; calls fail between them. Then serves. */
    void startAndServe() {
        String known = null;
        long reported = 0;
        for (long delay = FIRST_DELAY_MS; ; delay = Math.min(2 * delay, LAST_DELAY_MS)) {
            try {
                start();
                break;
            } catch (Throwable thrown) {
                Failure failure = Failure.of(thrown);
                boolean isKnown = failure.line().equals(known);
                if (!isKnown || delay != reported) {
                    Output.line(Level.ERROR, settings.module() + " did not start"
                            + (isKnown ? ", for the same reason" : ": " + failure.line())
                            + "; it is tried again in " + delay + " ms");
                }
                known = failure.line();
                reported = delay;
                if (!refuse(Failure.of("the runtime did not start: " + failure.line(),
                        text(failure.detail)), delay)) {
                    end();
                    return;
                }
            }
        }
        serve();
    }

    /** Fails the calls that come while the time lasts; false: the queue ended. */
    private boolean refuse(Failure failure, long lastingMs) {
        long until = System.nanoTime() + lastingMs * 1_000_000;
        for (long left = lastingMs; left > 0; left = (until - System.nanoTime()) / 1_000_000) {
            int count = poll((int) left);
            if (count < 0 || isStopped) return false;
            for (int i = 0; i < count; i++) {
                responses.add(Response.failure(batch.task(i), failure));
            }
        }
        return true;
    }

    /** Takes calls until the queue has ended and the last one is answered. */
    void serve() {
        loop = Thread.currentThread();
        while (!isStopped) {
            int count;
            try {
                count = poll(look());
            } catch (OutOfMemoryError noMemory) {
                continue; // running calls release some
            }
            if (count < 0) break;
            try {
                notifyCalls();
            } catch (OutOfMemoryError noMemory) {
                // the calls of this batch are taken: dispatch() responds to each of them
            }
            dispatch(count);
        }
        end();
    }

    /** Made for the first call that waits for a thread. See {@link Stall#look}. */
    private int look() {
        if (stall == null) {
            if (generation.waiting() == 0) return -1;
            stall = new Stall(settings.module());
        }
        return stall.look(generation);
    }

    private int poll(int timeoutMs) {
        isPolling = true;
        try {
            return isStopped ? 0 : batch.poll(poller, timeoutMs);
        } finally {
            isPolling = false;
        }
    }

    private void dispatch(int count) {
        if (count == 0) return;
        responses.hold();
        for (int i = 0; i < count; i++) {
            try {
                dispatchOne(i);
            } catch (Throwable thrown) {
                // no memory for a call or a thread, most likely
                Call call = running.remove(batch.task(i));
                if (call != null) call.endUnstarted();
                Failure failure = Failure.of(thrown);
                Native.respondError(batch.task(i), failure.message, failure.detail);
            }
        }
        responses.release();
    }

    private void dispatchOne(int i) {
        Call call = new Call(this, batch, i);
        running.put(call.task, call);
        if (isStopped) {
            call.fail(Instances.reason());
        } else if (call.method().equals(RELOAD)) {
            reload(call);
        } else {
            begin(call);
        }
    }

    /** A reload may retire the code that was there a moment ago. */
    private void begin(Call call) {
        Generation current = generation;
        while (!current.retain()) current = generation;
        call.begin(current);
    }

    /** Cancels calls, and resumes streams that have credit. */
    private void notifyCalls() {
        for (int i = 0; i < batch.writableCount(); i++) {
            Call call = running.get(batch.writable(i));
            if (call != null) call.writable();
        }
        for (int i = 0; i < batch.cancelledCount(); i++) {
            Call call = running.get(batch.cancelled(i));
            if (call != null) call.cancelled();
        }
    }

    void ended(Call call) {
        running.remove(call.task);
    }

    /** Waits for the calls under way, then closes what the handler has. */
    private void end() {
        while (!running.isEmpty() && !isStopped) {
            batch.poll(poller, CLOSED_TICK_MS);
            notifyCalls();
            if (!running.isEmpty()) sleep();
        }
        if (isStopped) return;
        Instances.remove(this);
        if (generation != null) generation.closeNow();
        freeMemory();
        Native.close(poller);
    }

    private void freeMemory() {
        batch.free();
        responses.close();
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static void sleep() {
        try {
            Thread.sleep(CLOSED_TICK_MS);
        } catch (InterruptedException ignored) {
            Thread.interrupted(); // the loop ends with the queue
        }
    }

    /** The virtual machine ends: takes no more calls. Any thread. */
    void stop() {
        isStopped = true;
        Native.wake(poller);
    }

    /**
     * Whether a call may still be taken; a loop that ends the virtual machine itself takes none.
     */
    boolean isTaking() {
        return isPolling && loop != Thread.currentThread();
    }

    /** Fails the running calls; in a worker also new ones. */
    void failAll(Failure failure, boolean isWorker) {
        for (Call call : new ArrayList<>(running.values())) call.fail(failure);
        if (isWorker) Native.refuse(queue, failure.message);
    }

    /** A line of the runtime, of no call. */
    boolean log(Level level, byte[] text) {
        return Native.queueLog(queue, level.number(), text) == Native.OK;
    }

    int runningCount() {
        return running.size();
    }
}
