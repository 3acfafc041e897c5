package nffi;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/** The error that Lua gets for something that was thrown. */
final class Failure {
    final byte[] message;
    final byte[] detail;
    /** Of a NffiException. */
    final int code;

    private static final byte[] NONE = {};
    /** Made before there is none left to make it of. */
    private static final Failure NO_MEMORY = new Failure("java.lang.OutOfMemoryError", "", 0);
    private static final Failure TOO_DEEP = new Failure("java.lang.StackOverflowError", "", 0);

    private Failure(String message, String detail, int code) {
        this.message = message.getBytes(StandardCharsets.UTF_8);
        this.detail = detail == null ? NONE : detail.getBytes(StandardCharsets.UTF_8);
        this.code = code;
    }

    static Failure of(String message, String detail) {
        return new Failure(message, detail, 0);
    }

    /** Never throws, whatever is left of stack and heap. */
    static Failure of(Throwable thrown) {
        try {
            Throwable cause = causeOf(thrown);
            if (cause instanceof NffiException) {
                NffiException known = (NffiException) cause;
                return new Failure(textOf(known), known.detail(), known.code());
            }
            return new Failure(cause.toString(), stackOf(cause), 0);
        } catch (StackOverflowError again) {
            return TOO_DEEP;
        } catch (Throwable again) {
            return thrown instanceof StackOverflowError ? TOO_DEEP : NO_MEMORY;
        }
    }

    private static String textOf(NffiException known) {
        return known.getMessage() == null ? known.toString() : known.getMessage();
    }

    /** What futures and reflection have wrapped. */
    static Throwable causeOf(Throwable thrown) {
        Throwable cause = thrown;
        while (cause.getCause() != null
                && (cause instanceof CompletionException || cause instanceof ExecutionException
                        || cause instanceof InvocationTargetException)) {
            cause = cause.getCause();
        }
        return cause;
    }

    static String stackOf(Throwable thrown) {
        StringWriter text = new StringWriter();
        thrown.printStackTrace(new PrintWriter(text, true));
        return text.toString().stripTrailing();
    }

    /** The message as one line. */
    String line() {
        return new String(message, StandardCharsets.UTF_8).replaceAll("\\s*\n\\s*", " | ");
    }
}
