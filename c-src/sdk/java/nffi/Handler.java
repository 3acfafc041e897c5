package nffi;

/**
 * Handles the calls that Lua makes. The class in {@code module} implements this, or has a static
 * method that returns one; {@link Methods} creates it from a function for each method.
 */
@FunctionalInterface
public interface Handler {
    /**
     * Handles one call: with one of its {@code respond} methods or as a stream, now or, after
     * {@link Call#later}, from another thread. Several calls run concurrently.
     *
     * @throws Exception reaches Lua as {@code nil, message, "runtime_error", stack}; so does a call
     *     without a response, and every {@link Error}
     */
    void handle(Call call) throws Exception;

    /**
     * Whether calls of a method run in the loop that takes them, which is cheaper: for what takes
     * microseconds and never waits, since all other calls wait for it.
     */
    default boolean isInline(String method) {
        return false;
    }

    /** When the runtime was closed or reloaded, and its last call is answered. */
    default void close() throws Exception {}
}
