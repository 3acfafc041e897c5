package nffi;

import java.io.IOException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The code of a runtime as it was loaded: its classes, its handler and the threads that run it.
 * After a reload the previous one responds to the calls that it has, and is then closed.
 */
final class Generation {
    private final String module;
    private final ClassLoader loader;
    private final ExecutorService pool;
    private final Handler handler;
    /** Calls that are not answered, and one more until it is retired. */
    private final AtomicInteger users = new AtomicInteger(1);

    private Generation(String module, ClassLoader loader, ExecutorService pool,
            Handler handler) {
        this.module = module;
        this.loader = loader;
        this.pool = pool;
        this.handler = handler;
    }

    /** Throws why the handler cannot be made; nothing is left then. The maker may be null. */
    static Generation load(Settings settings, Instance.Maker maker) throws Exception {
        ClassLoader loader = Loading.loaderOf(settings);
        ExecutorService pool = null;
        try {
            pool = Threads.of(settings, loader);
            return new Generation(settings.module(), loader, pool,
                    maker == null ? Loading.handlerOf(settings, loader) : maker.make(loader));
        } catch (Throwable thrown) {
            if (pool != null) pool.shutdownNow();
            Loading.close(loader);
            throw Failure.<Exception>rethrow(thrown);
        }
    }

    /** For a call, which ends by {@link #release}; false: it is closed. */
    boolean retain() {
        int count;
        do {
            count = users.get();
            if (count == 0) return false;
        } while (!users.compareAndSet(count, count + 1));
        return true;
    }

    void run(Call call) {
        if (handler.isInline(call.method())) call.run(handler);
        else pool.execute(new Run(call, handler));
    }

    /** No lambda: the first one of a process costs 10 ms of its start. */
    private static final class Run implements Runnable {
        private final Call call;
        private final Handler handler;

        Run(Call call, Handler handler) {
            this.call = call;
            this.handler = handler;
        }

        @Override
        public void run() {
            call.run(handler);
        }
    }

    /** Calls that wait for a thread; 0 with virtual threads. */
    int waiting() {
        return pool instanceof ThreadPoolExecutor ? ((ThreadPoolExecutor) pool).getQueue().size()
                : 0;
    }

    /** Calls that a thread has begun since the code was loaded. */
    long begun() {
        ThreadPoolExecutor threads = (ThreadPoolExecutor) pool;
        return threads.getCompletedTaskCount() + threads.getActiveCount();
    }

    void execute(Runnable action) {
        pool.execute(action);
    }

    /** A call of it was answered; or it gets no more, and closes with its last one. */
    void release() {
        if (users.decrementAndGet() == 0) close();
    }

    /** In a separate thread: a thread of the pool may have sent the last response. */
    private void close() {
        Thread closing = new Thread(this::closeNow, "nffi " + module + " end");
        closing.setDaemon(true);
        closing.setContextClassLoader(loader);
        try {
            closing.start();
        } catch (OutOfMemoryError noThread) {
            // the response that comes with this must be sent
            closeNow();
        }
    }

    void closeNow() {
        try {
            handler.close();
        } catch (Throwable thrown) {
            Output.line(Level.ERROR, module + ": close() failed: " + Failure.describe(thrown));
        }
        pool.shutdown();
        try {
            Loading.close(loader);
        } catch (IOException gone) {
            // its files are closed with the process
        }
    }
}
