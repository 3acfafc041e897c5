package nffi;

import java.lang.reflect.Type;

/**
 * Converts the bytes of calls to values and back. {@link Json} is one for maps and lists; your own
 * classes need a library. With Jackson:
 *
 * <pre>{@code
 * final class JacksonCodec implements Codec {
 *     private final ObjectMapper mapper = new ObjectMapper();
 *
 *     public Object decode(byte[] bytes, Type type) throws IOException {
 *         return mapper.readValue(bytes, mapper.constructType(type));
 *     }
 *
 *     public byte[] encode(Object value) throws Exception {
 *         return Json.codec().encode(mapper.convertValue(value, Object.class));
 *     }
 * }
 * }</pre>
 *
 * <p>{@code mapper.writeValueAsBytes(value)} is quicker, but sends NaN and {@code byte[]} as text.
 */
public interface Codec {
    /** Decodes bytes, never empty, to a value of the type. Several threads call it concurrently. */
    Object decode(byte[] bytes, Type type) throws Exception;

    /** Encodes a value, or null, as bytes. Several threads call it concurrently. */
    byte[] encode(Object value) throws Exception;
}
