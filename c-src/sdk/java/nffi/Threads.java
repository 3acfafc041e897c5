package nffi;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Makes the threads that handlers run in. */
final class Threads implements ThreadFactory {
    private final String name;
    private final ClassLoader loader;
    private final AtomicInteger made = new AtomicInteger();

    private Threads(String name, ClassLoader loader) {
        this.name = name;
        this.loader = loader;
    }

    /** The number of threads, created on demand; 0: a virtual one for each call. */
    static ExecutorService of(Settings settings, ClassLoader loader) {
        if (settings.threads() == 0) return virtual();
        return new ThreadPoolExecutor(settings.threads(), settings.threads(), 0,
                TimeUnit.MILLISECONDS, new LinkedBlockingQueue<>(),
                new Threads("nffi " + settings.module() + " ", loader));
    }

    @Override
    public Thread newThread(Runnable action) {
        Thread thread = new Thread(action, name + made.incrementAndGet());
        thread.setDaemon(true);
        thread.setContextClassLoader(loader);
        return thread;
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
