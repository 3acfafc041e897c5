package nffi;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicInteger;

/** The threads that handlers run in. */
final class Threads {
    private Threads() {}

    /** The number of threads, created on demand; 0: a virtual one for each call. */
    static ExecutorService of(Settings settings, ClassLoader loader) {
        if (settings.threads() == 0) return virtual();
        AtomicInteger made = new AtomicInteger();
        ThreadFactory factory = action -> {
            Thread thread = new Thread(action,
                    "nffi " + settings.module() + " " + made.incrementAndGet());
            thread.setDaemon(true);
            thread.setContextClassLoader(loader);
            return thread;
        };
        return Executors.newFixedThreadPool(settings.threads(), factory);
    }

    /** By reflection: this is compiled for Java 11. */
    private static ExecutorService virtual() {
        try {
            return (ExecutorService) Executors.class
                    .getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        } catch (ReflectiveOperationException | UnsupportedOperationException missing) {
            throw new NffiException("threads = \"virtual\" requires Java 21 or newer, this is "
                    + System.getProperty("java.version"));
        }
    }
}
