package nffi;

import java.lang.reflect.Array;
import java.time.temporal.TemporalAccessor;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.Future;
import java.util.stream.BaseStream;

/** Writes one JSON text. What JSON does not have is refused with its path. */
final class JsonWriter {
    private static final String NUMBER = "-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?";

    private static final int MAX_PATH = 20;

    private final StringBuilder out = new StringBuilder();

    /** The names and indexes that lead to the current value. */
    private final List<Object> path = new ArrayList<>();

    String write(Object value) {
        append(value);
        return out.toString();
    }

    private void append(Object value) {
        if (path.size() > JsonReader.MAX_DEPTH) {
            throw refused("is nested deeper than " + JsonReader.MAX_DEPTH + " levels, or contains itself");
        }
        if (value == null || value instanceof Boolean) {
            out.append(value);
        } else if (value instanceof Number) {
            appendNumber((Number) value);
        } else if (value instanceof Map) {
            appendMap((Map<?, ?>) value);
        } else if (value instanceof Iterable) {
            appendList((Iterable<?>) value);
        } else if (value instanceof byte[]) {
            throw refused("is a byte[]: use Methods.bytes for bytes");
        } else if (value.getClass().isArray()) {
            appendArray(value);
        } else if (isText(value)) {
            appendString(value.toString());
        } else {
            throw refused("is a " + value.getClass().getName() + ": " + hint(value));
        }
    }

    private static String hint(Object value) {
        if (value instanceof Future) return "wait for it with get()";
        if (value instanceof Optional) return "use orElse(null)";
        if (value instanceof BaseStream) return "collect it into a list";
        if (value instanceof TemporalAccessor) return "use toString()";
        if (value instanceof Throwable) return "throw it, or return its message";
        return "return maps and lists, or pass Methods a codec for your own classes";
    }

    private static boolean isText(Object value) {
        return value instanceof CharSequence || value instanceof Character
                || value instanceof Enum || value instanceof UUID;
    }

    private void appendNumber(Number number) {
        boolean isJson = number instanceof Double || number instanceof Float
                ? Double.isFinite(number.doubleValue())
                : number instanceof Long || number instanceof Integer
                        || number.toString().matches(NUMBER);
        if (!isJson) {
            throw refused("is " + number + " (" + number.getClass().getSimpleName() + ")");
        }
        out.append(number);
    }

    private void appendMap(Map<?, ?> map) {
        char before = '{';
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            Object key = entry.getKey();
            if (!(isText(key) || key instanceof Number || key instanceof Boolean)) {
                throw refused("has a key that is no text: " + key);
            }
            out.append(before);
            appendString(key.toString());
            out.append(':');
            appendPart(key, entry.getValue());
            before = ',';
        }
        out.append(before == '{' ? "{}" : "}");
    }

    private void appendList(Iterable<?> list) {
        int index = 0;
        for (Object item : list) {
            out.append(index == 0 ? '[' : ',');
            appendPart(index++, item);
        }
        out.append(index == 0 ? "[]" : "]");
    }

    private void appendArray(Object array) {
        out.append('[');
        for (int index = 0; index < Array.getLength(array); index++) {
            if (index > 0) out.append(',');
            appendPart(index, Array.get(array, index));
        }
        out.append(']');
    }

    private void appendPart(Object name, Object value) {
        path.add(name);
        append(value);
        path.remove(path.size() - 1);
    }

    /** Half of a surrogate pair is no UTF-8: it becomes U+FFFD, as in every other language. */
    private void appendString(String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else if (!Character.isSurrogate(c)) {
                out.append(c);
            } else if (i + 1 < text.length()
                    && Character.isSurrogatePair(c, text.charAt(i + 1))) {
                out.append(c).append(text.charAt(++i));
            } else {
                out.append('\ufffd');
            }
        }
        out.append('"');
    }

    private IllegalArgumentException refused(String what) {
        StringBuilder place = new StringBuilder(path.isEmpty() ? "it" : "result");
        for (Object name : path.subList(0, Math.min(path.size(), MAX_PATH))) {
            place.append(name instanceof Integer ? "[" + name + "]" : "." + name);
        }
        if (path.size() > MAX_PATH) place.append("...");
        return new IllegalArgumentException("the result cannot become JSON: " + place + " " + what);
    }
}
