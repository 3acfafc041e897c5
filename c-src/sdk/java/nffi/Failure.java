package nffi;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.function.Supplier;

/** The error that Lua gets for something that was thrown. */
final class Failure {
    final byte[] message;
    final byte[] detail;
    /** Of a NffiException. */
    final int code;

    private static final byte[] NONE = {};
    /** Created early: later there may be no memory for it. */
    private static final Failure NO_MEMORY = new Failure("java.lang.OutOfMemoryError", "", 0);
    private static final Failure TOO_DEEP = new Failure("java.lang.StackOverflowError", "", 0);
    /** A chain of causes may have no end. */
    private static final int MAX_CAUSES = 100;

    private Failure(String message, String detail, int code) {
        this.message = message.getBytes(StandardCharsets.UTF_8);
        this.detail = detail == null ? NONE : detail.getBytes(StandardCharsets.UTF_8);
        this.code = code;
    }

    static Failure of(String message, String detail) {
        return new Failure(message, detail, 0);
    }

    /** Never throws: not without stack or heap, nor if a method of `thrown` throws. */
    static Failure of(Throwable thrown) {
        if (thrown == null) return new Failure("it failed without an exception (null)", "", 0);
        try {
            Throwable cause = causeOf(thrown);
            if (cause instanceof NffiException) return ofKnown((NffiException) cause);
            return new Failure(textOf(cause, cause::toString), stackOf(cause), 0);
        } catch (StackOverflowError again) {
            return TOO_DEEP;
        } catch (Throwable again) {
            return thrown instanceof StackOverflowError ? TOO_DEEP : NO_MEMORY;
        }
    }

    private static Failure ofKnown(NffiException known) {
        String text = textOf(known, () ->
                known.getMessage() == null ? known.toString() : known.getMessage());
        try {
            return new Failure(text, known.detail(), known.code());
        } catch (Throwable again) {
            // a subclass
            return new Failure(text, "", 0);
        }
    }

    /** The name of its class if its text cannot be read. */
    private static String textOf(Throwable thrown, Supplier<String> read) {
        try {
            String text = read.get();
            if (text != null) return text;
        } catch (Throwable again) {
            // a method of the user
        }
        return thrown.getClass().getName();
    }

    /** Returns the exception that futures and reflection have wrapped. */
    static Throwable causeOf(Throwable thrown) {
        Throwable cause = thrown;
        for (int i = 0; i < MAX_CAUSES && isWrapper(cause); i++) {
            Throwable inner = null;
            try {
                inner = cause.getCause();
            } catch (Throwable again) {
                // a method of the user
            }
            if (inner == null) break;
            cause = inner;
        }
        return cause;
    }

    private static boolean isWrapper(Throwable thrown) {
        return thrown instanceof CompletionException || thrown instanceof ExecutionException
                || thrown instanceof InvocationTargetException;
    }

    /** Returns the stack trace; empty if it cannot be read. */
    static String stackOf(Throwable thrown) {
        StringWriter text = new StringWriter();
        try {
            thrown.printStackTrace(new PrintWriter(text, true));
        } catch (Throwable again) {
            // a method of the user, or too little memory
            return "";
        }
        return text.toString().stripTrailing();
    }

    /** Returns the text and the stack, for the log. */
    static String describe(Throwable thrown) {
        String stack = stackOf(thrown);
        return stack.isEmpty() ? textOf(thrown, thrown::toString) : stack;
    }

    /** Throws it, although the compiler does not know its type. */
    @SuppressWarnings("unchecked") // nothing is cast: the type is for the compiler alone
    static <T extends Throwable> RuntimeException rethrow(Throwable thrown) throws T {
        throw (T) thrown;
    }

    /** Returns the message as one line. */
    String line() {
        return new String(message, StandardCharsets.UTF_8).replaceAll("\\s*\n\\s*", " | ");
    }
}
