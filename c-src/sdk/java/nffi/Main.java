package nffi;

import java.nio.charset.StandardCharsets;

/** A runtime that is a process: started by the worker, it serves until the worker ends it. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) {
        long queue = Native.attach();
        if (queue < 0) {
            System.err.println("nffi.Main: " + Native.errorText((int) queue));
            if (queue == Native.NOT_A_PROCESS) {
                System.err.println("start it from Lua in nginx: nffi.load(\"java\","
                        + " { module = \"com.example.App\" })");
            }
            System.exit(2);
        }
        Output.install(true);
        Instances.watchExit(false);
        Instance instance;
        try {
            Settings settings = Settings.read(new String(Native.config(queue), StandardCharsets.UTF_8));
            instance = new Instance(settings, queue);
            instance.start();
        } catch (Throwable thrown) {
            failed(queue, Failure.of(thrown));
            return;
        }
        if (Native.attachReady(queue) != Native.OK) exit(1);
        instance.serve();
        exit(0);
    }

    private static void failed(long queue, Failure failure) {
        Native.attachFailed(queue, failure.line().getBytes(StandardCharsets.UTF_8));
        Output.last(new String(failure.detail.length > 0 ? failure.detail : failure.message,
                StandardCharsets.UTF_8));
        exit(1);
    }

    private static void exit(int code) {
        Instances.exitExpected();
        System.exit(code);
    }
}
