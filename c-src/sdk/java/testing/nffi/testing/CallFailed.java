package nffi.testing;

/** The error of a failed call, as Lua gets it: nil, message, code, detail. */
public final class CallFailed extends Exception {
    private static final long serialVersionUID = 1;

    private final String code;
    private final String detail;
    private final int rc;

    CallFailed(String message, String code, String detail, int rc) {
        super(message);
        this.code = code;
        this.detail = detail;
        this.rc = rc;
    }

    /** "runtime_error", "timeout", "queue_full", "closed" or "cancelled". */
    public String code() {
        return code;
    }

    /** The stack, say; empty: none. */
    public String detail() {
        return detail;
    }

    /** The number of a {@link nffi.NffiException}, else 0. */
    public int rc() {
        return rc;
    }
}
