package nffi;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Properties;
import java.util.logging.ConsoleHandler;
import java.util.logging.Formatter;
import java.util.logging.Handler;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;

/**
 * Writes what java.util.logging and System.Logger log to nginx's error.log. Public for
 * java.util.logging, which creates it.
 */
public final class LogHandler extends Handler {
    private static final String HANDLERS = "handlers";

    private final Formatter formatter = new SimpleFormatter();

    /** Called by java.util.logging. */
    public LogHandler() {}

    /**
     * Configures java.util.logging when it is used for the first time: loading its classes takes
     * 16 ms, which a runtime that logs nothing should not pay at its start. The command line names
     * this class in the property java.util.logging.config.class.
     */
    public static final class Configuration {
        /** Called by java.util.logging. */
        public Configuration() throws IOException {
            Properties properties = new Properties();
            try (InputStream file = Files.newInputStream(path())) {
                properties.load(file);
            } catch (NoSuchFileException missing) {
                // java.util.logging ignores that as well
            }
            StringBuilder handlers = new StringBuilder(LogHandler.class.getName());
            for (String name : properties.getProperty(HANDLERS, "").split("[\\s,]+")) {
                if (!name.isEmpty() && !name.equals(ConsoleHandler.class.getName())) {
                    handlers.append(' ').append(name);
                }
            }
            properties.setProperty(HANDLERS, handlers.toString());
            ByteArrayOutputStream text = new ByteArrayOutputStream();
            properties.store(text, null);
            LogManager.getLogManager()
                    .readConfiguration(new ByteArrayInputStream(text.toByteArray()));
        }

        /** Returns the file that java.util.logging reads without this class. */
        private static Path path() {
            String named = System.getProperty("java.util.logging.config.file");
            return named != null ? Path.of(named)
                    : Path.of(System.getProperty("java.home"), "conf", "logging.properties");
        }
    }

    /** For a configuration by a class or a manager of the user. */
    private static final class Root {
        /** A strong reference: a logger without one is collected with its handlers. */
        private static final Logger ROOT = Logger.getLogger("");

        private Root() {}

        static void install() {
            for (Handler handler : ROOT.getHandlers()) {
                if (handler instanceof ConsoleHandler) ROOT.removeHandler(handler);
            }
            ROOT.addHandler(new LogHandler());
        }
    }

    static void install() {
        Root.install();
    }

    @Override
    public void publish(LogRecord record) {
        if (!isLoggable(record)) return;
        String text = record.getLoggerName() + ": " + formatter.formatMessage(record);
        Throwable thrown = record.getThrown();
        if (thrown != null) text += "\n" + Failure.describe(thrown);
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
