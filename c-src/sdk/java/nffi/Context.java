package nffi;

import java.time.Duration;
import java.time.Instant;
import java.util.Optional;

/** The context of a call: its cancellation, time, log and configuration. Any thread may use it. */
public interface Context {
    /** The method name; empty for {@code runtime:call(bytes)}. */
    String method();

    /** The configuration that Lua loaded the runtime with. */
    Config config();

    /** When the call times out; empty: never. */
    Optional<Instant> deadline();

    /** The time until the deadline of the call, at least zero; empty: there is none. */
    Optional<Duration> timeLeft();

    /**
     * True if the call was cancelled (client disconnected, Lua thread killed, timeout) or has its
     * response.
     */
    boolean isCancelled();

    /**
     * Runs an action once when the call is cancelled, or now if it is already cancelled; not after
     * the response. It runs in a thread of the runtime and must not wait.
     *
     * @return unregisters the action
     */
    Runnable onCancel(Runnable action);

    /**
     * Interrupts the current thread when the call is cancelled, until the handler returns. For code
     * that waits and can be interrupted.
     */
    void interruptOnCancel();

    /** Throws {@link java.util.concurrent.CancellationException} if the call was cancelled. */
    void checkCancelled();

    /**
     * Writes a line to nginx's error.log, with the client and the request of this call.
     *
     * @return false when too many lines are on their way; then it was dropped, and is counted
     */
    boolean log(Level level, String text);
}
