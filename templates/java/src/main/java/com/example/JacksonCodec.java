package com.example;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.reflect.Type;
import nffi.Codec;

/** Values of classes as JSON, by Jackson. */
final class JacksonCodec implements Codec {
    private final ObjectMapper mapper = new ObjectMapper();

    @Override
    public Object decode(byte[] bytes, Type type) throws IOException {
        return mapper.readValue(bytes, mapper.constructType(type));
    }

    @Override
    public byte[] encode(Object value) throws IOException {
        return mapper.writeValueAsBytes(value);
    }
}
