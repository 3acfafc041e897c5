package nffi;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;

/**
 * The runtimes of this virtual machine, and the end of their calls when it ends, usually by
 * System.exit. In a process the worker starts another one; in a worker the virtual machine does not
 * return, while nginx continues.
 */
final class Instances {
    private static final List<Instance> ALL = new CopyOnWriteArrayList<>();
    private static final long MAX_WAIT_MS = 500;

    private static volatile boolean isExpected;
    private static volatile boolean isWorker;
    private static volatile Failure reason;

    private Instances() {}

    static void add(Instance instance) {
        ALL.add(instance);
    }

    static void remove(Instance instance) {
        ALL.remove(instance);
    }

    static List<Instance> all() {
        return ALL;
    }

    static Failure reason() {
        Failure known = reason;
        return known != null ? known : Failure.of("the virtual machine ends", "");
    }

    static void watchExit(boolean inWorker) {
        isWorker = inWorker;
        java.lang.Runtime.getRuntime().addShutdownHook(new Ending());
    }

    /** No lambda: the first one of a process costs 10 ms of its start. */
    private static final class Ending extends Thread {
        Ending() {
            super("nffi end");
        }

        @Override
        public void run() {
            ending();
        }
    }

    /** The process ends since its queue was closed. */
    static void exitExpected() {
        isExpected = true;
    }

    private static void ending() {
        if (isExpected) return;
        StackTraceElement[] caller = callerOfExit();
        String by = caller == null ? "" : ": System.exit was called";
        String what = isWorker
                ? "the Java virtual machine of this worker has ended" + by
                        + "; a reload of nginx brings a new one"
                : "the Java process ended itself" + by;
        reason = Failure.of(what, stackOf(caller));
        int lost = 0;
        for (Instance instance : ALL) {
            lost += instance.runningCount();
            instance.stop();
        }
        String stack = new String(reason.detail, StandardCharsets.UTF_8);
        Output.last(what + (lost == 0 ? "" : "; calls that fail with it: " + lost)
                + (stack.isEmpty() ? "" : "\n" + stack));
        waitForLoops();
        for (Instance instance : ALL) instance.failAll(reason, isWorker);
    }

    private static void waitForLoops() {
        long until = System.nanoTime() + MAX_WAIT_MS * 1_000_000;
        while (System.nanoTime() < until && ALL.stream().anyMatch(Instance::isTaking)) {
            try {
                Thread.sleep(1);
            } catch (InterruptedException ignored) {
                return;
            }
        }
    }

    /** The stack of the thread that waits in System.exit; null: it ends for another reason. */
    private static StackTraceElement[] callerOfExit() {
        for (Map.Entry<Thread, StackTraceElement[]> one : Thread.getAllStackTraces().entrySet()) {
            for (StackTraceElement frame : one.getValue()) {
                boolean isExit = frame.getMethodName().equals("exit")
                        && frame.getClassName().equals("java.lang.Runtime");
                if (isExit) return one.getValue();
            }
        }
        return null;
    }

    private static String stackOf(StackTraceElement[] frames) {
        if (frames == null) return "";
        StringBuilder text = new StringBuilder();
        boolean isInside = false;
        for (StackTraceElement frame : frames) {
            isInside |= frame.getMethodName().equals("exit")
                    && frame.getClassName().equals("java.lang.System");
            if (isInside) text.append("\tat ").append(frame).append('\n');
        }
        return text.toString().stripTrailing();
    }
}
