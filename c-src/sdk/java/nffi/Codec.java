package nffi;

import java.lang.reflect.Type;

/**
 * How the bytes of calls become values and back. {@link Json} is one for maps and lists; for
 * classes of your own it takes a library. With Jackson:
 *
 * <pre>{@code
 * final class JacksonCodec implements Codec {
 *     private final ObjectMapper mapper = new ObjectMapper();
 *
 *     public Object decode(byte[] bytes, Type type) throws IOException {
 *         return mapper.readValue(bytes, mapper.constructType(type));
 *     }
 *
 *     public byte[] encode(Object value) throws IOException {
 *         return mapper.writeValueAsBytes(value);
 *     }
 * }
 * }</pre>
 */
public interface Codec {
    /** Bytes, never empty, as a value of the type. Several threads call it at once. */
    Object decode(byte[] bytes, Type type) throws Exception;

    /** A value, or null, as bytes. Several threads call it at once. */
    byte[] encode(Object value) throws Exception;
}
