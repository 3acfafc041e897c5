package nffi;

import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * JSON as Map (in the order of the text), List, String, Long, Double, Boolean and null, without a
 * library. A whole number without an exponent that is no long is a BigInteger.
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

    /** @throws IllegalArgumentException also where it is not UTF-8 */
    public static Object read(byte[] bytes) {
        String text = new String(bytes, StandardCharsets.UTF_8);
        // only a text with the replacement character can come from other bytes
        if (text.indexOf('\ufffd') >= 0) requireUtf8(bytes);
        return read(text);
    }

    private static void requireUtf8(byte[] bytes) {
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes));
        } catch (CharacterCodingException wrong) {
            throw new IllegalArgumentException("no JSON: not UTF-8", wrong);
        }
    }

    /** @throws IllegalArgumentException there is something that JSON does not have */
    public static String write(Object value) {
        return new JsonWriter().write(value);
    }

    @Override
    public Object decode(byte[] bytes, Type type) {
        Class<?> wanted = classOf(type);
        Object value = read(bytes);
        if (value == null || wanted.isInstance(value)) return value;
        boolean isWhole = value instanceof Long || value instanceof BigInteger;
        if (wanted == Double.class && isWhole) return ((Number) value).doubleValue();
        if (wanted == Integer.class && value instanceof Long) {
            return Math.toIntExact((Long) value);
        }
        if (wanted == BigInteger.class && value instanceof Long) {
            return BigInteger.valueOf((Long) value);
        }
        throw new IllegalArgumentException(
                "expected " + wanted.getName() + ", got " + nameOf(value)
                        + "; for your own classes pass a codec: new Methods(codec)");
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
}
