package nffi;

/** The levels of nginx's error.log. */
public enum Level {
    ERROR,
    WARN,
    NOTICE,
    INFO,
    DEBUG;

    /** As in nffi.h. */
    int number() {
        return ordinal() + 1;
    }

    String word() {
        return name().toLowerCase(java.util.Locale.ROOT);
    }
}
