package nffi;

import java.lang.reflect.Array;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * JSON as Map (in the order of the text), List, String, Long, Double, Boolean and null, without a
 * library. A whole number that is no long is a Double.
 */
public final class Json implements Codec {
    private static final Json CODEC = new Json();

    private Json() {}

    /** For methods that take and return maps, lists, strings, numbers and booleans. */
    public static Codec codec() {
        return CODEC;
    }

    /** @throws IllegalArgumentException invalid JSON; the message has the position */
    public static Object read(String text) {
        return new JsonReader(text).document();
    }

    public static Object read(byte[] text) {
        return read(new String(text, StandardCharsets.UTF_8));
    }

    /** @throws IllegalArgumentException there is something that JSON does not have */
    public static String write(Object value) {
        StringBuilder out = new StringBuilder();
        append(out, value, 0);
        return out.toString();
    }

    @Override
    public Object decode(byte[] bytes, Type type) {
        Class<?> wanted = classOf(type);
        Object value = read(bytes);
        if (value == null || wanted.isInstance(value)) return value;
        if (wanted == Double.class && value instanceof Long) return ((Long) value).doubleValue();
        if (wanted == Integer.class && value instanceof Long) {
            return Math.toIntExact((Long) value);
        }
        throw new IllegalArgumentException(
                "got " + nameOf(value) + " where " + wanted.getName() + " is wanted; classes of"
                        + " your own want a codec: new Methods(codec)");
    }

    @Override
    public byte[] encode(Object value) {
        return write(value).getBytes(StandardCharsets.UTF_8);
    }

    private static Class<?> classOf(Type type) {
        if (type instanceof Class) return (Class<?>) type;
        if (type instanceof ParameterizedType) {
            return (Class<?>) ((ParameterizedType) type).getRawType();
        }
        return Object.class;
    }

    private static String nameOf(Object value) {
        if (value instanceof Map) return "a table of names";
        if (value instanceof Iterable) return "a list";
        return "the " + value.getClass().getSimpleName() + " " + value;
    }

    private static final int DEEPEST = 500;

    private static void append(StringBuilder out, Object value, int depth) {
        if (depth > DEEPEST) throw new IllegalArgumentException("nested too deeply");
        if (value == null || value instanceof Boolean) {
            out.append(value);
        } else if (value instanceof Number) {
            appendNumber(out, (Number) value);
        } else if (value instanceof Map) {
            appendMap(out, (Map<?, ?>) value, depth);
        } else if (value instanceof Iterable) {
            String before = "[";
            for (Object item : (Iterable<?>) value) {
                append(out.append(before), item, depth + 1);
                before = ",";
            }
            out.append(before.equals("[") ? "[]" : "]");
        } else if (value.getClass().isArray()) {
            out.append('[');
            for (int i = 0; i < Array.getLength(value); i++) {
                if (i > 0) out.append(',');
                append(out, Array.get(value, i), depth + 1);
            }
            out.append(']');
        } else if (value instanceof CharSequence || value instanceof Character
                || value instanceof Enum) {
            appendString(out, value.toString());
        } else {
            throw new IllegalArgumentException(
                    "JSON has no " + value.getClass().getName() + ": give maps and lists, or"
                            + " Methods a codec for classes of your own");
        }
    }

    private static void appendNumber(StringBuilder out, Number number) {
        if (number instanceof Double || number instanceof Float) {
            double value = number.doubleValue();
            if (Double.isNaN(value) || Double.isInfinite(value)) {
                throw new IllegalArgumentException("JSON has no " + number);
            }
        }
        out.append(number);
    }

    private static void appendMap(StringBuilder out, Map<?, ?> map, int depth) {
        String before = "{";
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            out.append(before);
            appendString(out, String.valueOf(entry.getKey()));
            append(out.append(':'), entry.getValue(), depth + 1);
            before = ",";
        }
        out.append(before.equals("{") ? "{}" : "}");
    }

    private static void appendString(StringBuilder out, String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
