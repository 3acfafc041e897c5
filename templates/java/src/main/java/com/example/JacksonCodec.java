package com.example;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.reflect.Type;
import nffi.Codec;
import nffi.Json;

/** Values of classes as JSON, by Jackson. */
final class JacksonCodec implements Codec {
    private final ObjectMapper mapper = new ObjectMapper();

    @Override
    public Object decode(byte[] bytes, Type type) throws IOException {
        return mapper.readValue(bytes, mapper.constructType(type));
    }

    @Override
    public byte[] encode(Object value) throws Exception {
        // Jackson turns classes into maps and lists, and would write NaN as text; nffi refuses it
        return Json.codec().encode(mapper.convertValue(value, Object.class));
    }
}
