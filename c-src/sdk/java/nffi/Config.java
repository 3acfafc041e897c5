package nffi;

import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * The configuration that Lua loaded a runtime with: {@code nffi.load("java", { config = ... })}.
 */
public final class Config {
    private final Object value;

    /** Nothing, a string, or what Lua's table is in JSON. */
    Config(Object value) {
        this.value = value;
    }

    /** A configuration for a test: null, a string, or maps and lists as JSON has them. */
    public static Config of(Object value) {
        return new Config(value);
    }

    public boolean isEmpty() {
        return value == null || "".equals(value);
    }

    /** A string as Lua passed it, a table as JSON; empty without a configuration. */
    public String text() {
        if (value == null) return "";
        if (value instanceof String) return (String) value;
        return Json.write(value);
    }

    /** A table; empty without a configuration. */
    public Map<String, Object> map() {
        if (isEmpty()) return Map.of();
        Object read = value instanceof String ? Json.read((String) value) : value;
        if (!(read instanceof Map)) {
            throw new IllegalArgumentException("the configuration must be a table with names");
        }
        @SuppressWarnings("unchecked") // keys are strings in JSON
        Map<String, Object> map = (Map<String, Object>) read;
        return map;
    }

    /** What stands in a table by that name, or what is given where there is nothing. */
    public String get(String name, String otherwise) {
        Object found = map().get(name);
        return found == null ? otherwise : String.valueOf(found);
    }

    /** A whole number in a table, or what is given where there is nothing. */
    public long get(String name, long otherwise) {
        Object found = map().get(name);
        if (found == null) return otherwise;
        if (found instanceof Long) return (Long) found;
        throw new IllegalArgumentException(name + " must be a whole number, got " + found);
    }

    /** Decodes to a value of your class; no configuration is an empty table. */
    public <T> T as(Class<T> type, Codec codec) throws Exception {
        String text = isEmpty() ? "{}" : text();
        return type.cast(codec.decode(text.getBytes(StandardCharsets.UTF_8), (Type) type));
    }

    @Override
    public String toString() {
        return text();
    }
}
