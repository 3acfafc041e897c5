package nffi;

import java.nio.charset.StandardCharsets;

/** What the library in the worker calls: c-src/sdk/java/bridge/bridge.c. */
final class Bridge {
    private Bridge() {}

    /** Once, when the virtual machine was made. */
    static void install() throws Exception {
        // this sets the disposition of SIGCHLD, which the library puts back when we return
        Class.forName("java.lang.ProcessImpl");
        Output.install(false);
        Instances.watchExit(true);
    }

    /** Starts one runtime; its threads run on. */
    static void start(long queue, byte[] text) {
        Settings settings = Settings.read(new String(text, StandardCharsets.UTF_8));
        Instance instance = new Instance(settings, queue);
        Loop loop = new Loop("nffi " + settings.module(), instance);
        loop.setDaemon(true);
        loop.start();
    }

    /** No lambda: the first one of a virtual machine takes 10 ms. */
    private static final class Loop extends Thread {
        private final Instance instance;

        Loop(String name, Instance instance) {
            super(name);
            this.instance = instance;
        }

        @Override
        public void run() {
            instance.startAndServe();
        }
    }
}
