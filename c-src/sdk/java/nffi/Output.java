package nffi;

import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * Lines for nginx's error.log: with the client and the request where a handler writes them, else
 * of the runtime alone. System.out is logged as notice, System.err as error.
 */
final class Output {
    private static final int MAX_LINE = 2048;

    private static volatile boolean isProcess;
    private static volatile boolean isInstalled;
    private static final OutputStream RAW = new FileOutputStream(FileDescriptor.err);

    private Output() {}

    /** In a process what belongs to no call goes to stderr, where the worker reads it. */
    static void install(boolean inProcess) {
        isProcess = inProcess;
        isInstalled = true;
        System.setOut(stream(Level.NOTICE));
        System.setErr(stream(Level.ERROR));
        // java.util.logging is not loaded before it is used: this class then configures it
        boolean isLazy = System.getProperty("java.util.logging.manager") == null
                && "nffi.LogHandler$Configuration"
                        .equals(System.getProperty("java.util.logging.config.class"));
        if (isLazy) return;
        try {
            LogHandler.install();
        } catch (LinkageError without) {
            // a run time without the module java.logging
        }
    }

    private static PrintStream stream(Level level) {
        return new PrintStream(new Lines(level), true, StandardCharsets.UTF_8);
    }

    static void line(Level level, String text) {
        for (String line : text.split("\n")) {
            if (!line.isEmpty()) write(level, line);
        }
    }

    private static void write(Level level, String line) {
        Call call = Call.current();
        byte[] bytes = line.getBytes(StandardCharsets.UTF_8);
        if (!isInstalled) {
            raw(bytes);
        } else if (call != null && !call.isAnswered()) {
            Native.log(call.task, level.number(), bytes);
        } else if (isProcess) {
            raw(("\u0001" + level.word() + "\u0002" + line).getBytes(StandardCharsets.UTF_8));
        } else {
            // several runtimes share the virtual machine: the runtime of this line is unknown
            boolean isLogged = Instances.all().stream().findFirst()
                    .map(instance -> instance.log(level, bytes)).orElse(false);
            if (!isLogged) raw(bytes);
        }
    }

    /** Before the virtual machine ends: nothing may be left on its way. */
    static void last(String text) {
        if (!isProcess) {
            line(Level.ERROR, text);
            return;
        }
        for (String line : text.split("\n")) {
            raw(("\u0001error\u0002" + line).getBytes(StandardCharsets.UTF_8));
        }
    }

    private static synchronized void raw(byte[] line) {
        byte[] ended = java.util.Arrays.copyOf(line, line.length + 1);
        ended[line.length] = '\n';
        try {
            RAW.write(ended);
        } catch (IOException gone) {
            // the worker is, and this process ends
        }
    }

    /** Cuts what is written into lines. PrintStream lets one thread in at a time. */
    private static final class Lines extends OutputStream {
        private final Level level;
        private final ByteArrayOutputStream line = new ByteArrayOutputStream();

        Lines(Level level) {
            this.level = level;
        }

        @Override
        public synchronized void write(int b) {
            if (b == '\n') {
                end();
                return;
            }
            if (line.size() >= MAX_LINE) end();
            line.write(b);
        }

        @Override
        public synchronized void write(byte[] bytes, int from, int size) {
            for (int i = from; i < from + size; i++) write(bytes[i]);
        }

        private void end() {
            String text = line.toString(StandardCharsets.UTF_8);
            line.reset();
            if (!text.isEmpty()) Output.write(level, text);
        }
    }
}
