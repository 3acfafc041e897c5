package nffi;

/**
 * An exception with a detail or a number. Other exceptions arrive in Lua with their text and their
 * stack.
 */
public class NffiException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final String detail;
    private final int code;

    /** Lua gets {@code nil, message, "runtime_error"}. */
    public NffiException(String message) {
        this(message, null, 0);
    }

    /** Lua gets {@code nil, message, "runtime_error", detail}. */
    public NffiException(String message, String detail) {
        this(message, detail, 0);
    }

    /** Lua gets {@code nil, message, "runtime_error", code}; a code is not 0. */
    public NffiException(String message, int code) {
        this(message, null, code);
    }

    private NffiException(String message, String detail, int code) {
        super(message);
        this.detail = detail;
        this.code = code;
    }

    /** The fourth result in Lua; null: none. */
    public String detail() {
        return detail;
    }

    /** The fourth result in Lua instead, unless 0. */
    public int code() {
        return code;
    }
}
