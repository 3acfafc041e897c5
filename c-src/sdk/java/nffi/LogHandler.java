package nffi;

import java.util.logging.ConsoleHandler;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;

/** What java.util.logging and System.Logger would print goes to nginx's error.log. */
final class LogHandler extends Handler {
    private final Formatter formatter = new SimpleFormatter();

    /** A strong reference: a logger without one is collected with its handlers. */
    private static final Logger ROOT = Logger.getLogger("");

    static void install() {
        for (Handler handler : ROOT.getHandlers()) {
            if (handler instanceof ConsoleHandler) ROOT.removeHandler(handler);
        }
        ROOT.addHandler(new LogHandler());
    }

    @Override
    public void publish(LogRecord record) {
        if (!isLoggable(record)) return;
        String text = record.getLoggerName() + ": " + formatter.formatMessage(record);
        Throwable thrown = record.getThrown();
        if (thrown != null) text += "\n" + Failure.stackOf(thrown);
        Output.line(levelOf(record.getLevel().intValue()), text);
    }

    private static Level levelOf(int level) {
        if (level >= java.util.logging.Level.SEVERE.intValue()) return Level.ERROR;
        if (level >= java.util.logging.Level.WARNING.intValue()) return Level.WARN;
        if (level >= java.util.logging.Level.INFO.intValue()) return Level.INFO;
        return Level.DEBUG;
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
}
