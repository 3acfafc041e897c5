package nffi;

import java.time.Duration;
import java.util.Optional;

/** What a handler may know of its call, and tell about it. Any thread may use it. */
public interface Context {
    /** The name of the method, empty where Lua gave none: {@code runtime:call(bytes)}. */
    String method();

    /** The configuration that Lua loaded the runtime with. */
    Configuration configuration();

    /** The time until the deadline of the call, zero when it is over; empty: there is none. */
    Optional<Duration> timeLeft();

    /** Whether nobody waits any more: the client has gone, the time is over, it was answered. */
    boolean isCancelled();

    /**
     * Runs something once, when nobody waits for the answer any more, or now if that is so
     * already. It runs in a thread of the runtime and must not wait; not at all if the call is
     * answered first.
     */
    void onCancel(Runnable action);

    /**
     * From now on the current thread is interrupted when nobody waits for the answer any more,
     * until the handler returns. For what waits and can be interrupted.
     */
    void interruptOnCancel();

    /** Throws {@link java.util.concurrent.CancellationException} when nobody waits any more. */
    void checkCancelled();

    /**
     * Writes a line to nginx's error.log, with the client and the request of this call.
     *
     * @return false when too many lines are on their way; then it was dropped, and is counted
     */
    boolean log(Level level, String text);
}
