package nffi;

/** What package nffi.testing needs of this one; not for others. */
public final class TestInstance {
    private final Instance instance;
    private final Thread loop;

    private TestInstance(Settings settings, long queue, Instance.Maker maker) {
        instance = maker == null
                ? new Instance(settings, queue) : new Instance(settings, queue, maker);
        loop = new Thread(instance::startAndServe, "nffi " + settings.module());
        loop.setDaemon(true);
        loop.start();
    }

    /** A handler that is at hand; threads 0: virtual ones. */
    public static TestInstance serve(long queue, Handler handler, Object config, int threads) {
        Settings settings = Settings.of(handler.getClass().getName(), config, threads);
        return new TestInstance(settings, queue, loader -> handler);
    }

    /** The configuration that Lua would pass, in JSON, or "class,function,configuration". */
    public static TestInstance load(long queue, String settings) {
        return new TestInstance(Settings.read(settings), queue, null);
    }

    /** Returns whether it has ended, after at most this time. */
    public boolean ended(long waitMs) throws InterruptedException {
        loop.join(waitMs);
        return !loop.isAlive();
    }
}
