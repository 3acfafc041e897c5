package nffi;

/**
 * Whether calls wait for a thread while none becomes free. The queue does not see that: they were
 * taken from it. All of it runs in the thread that polls.
 */
final class Stall {
    private static final long LIMIT_MS = 5000;
    /** Between two looks, while calls wait. */
    private static final int LOOK_MS = 1000;

    private final String module;
    private Generation generation;
    private long begun;
    private long since;
    private long looked;
    private boolean isWaiting;
    private boolean isLogged;

    Stall(String module) {
        this.module = module;
    }

    /** Logs one that lasts, once. Returns how long to poll until the next look, -1: any time. */
    int look(Generation current) {
        int waiting = current.waiting();
        if (waiting == 0) {
            isWaiting = false;
            isLogged = false;
            return -1;
        }
        long now = System.nanoTime();
        if (isWaiting && now - looked < LOOK_MS * 1_000_000L) return LOOK_MS;
        looked = now;
        if (!isWaiting || current != generation || current.begun() != begun) {
            generation = current;
            begun = current.begun();
            since = now;
            isWaiting = true;
            isLogged = false;
        } else if (!isLogged && (now - since) / 1_000_000 >= LIMIT_MS) {
            isLogged = true;
            Output.line(Level.WARN, module + " has begun no call for "
                    + (now - since) / 1_000_000 + " ms: " + waiting
                    + " calls wait for one of its threads, which are busy; an endless loop, or"
                    + " calls that block?");
        }
        return LOOK_MS;
    }
}
