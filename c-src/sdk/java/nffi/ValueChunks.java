package nffi;

import java.io.ByteArrayOutputStream;

/** Values as chunks: lines for a stream, one list for a plain call. */
final class ValueChunks {
    private final Call call;
    private final Codec codec;
    private boolean isFirst = true;

    ValueChunks(Call call, Codec codec) {
        this.call = call;
        this.codec = codec;
    }

    void write(Object value) throws Exception {
        call.chunks().write(chunk(value));
    }

    byte[] chunk(Object value) throws Exception {
        ByteArrayOutputStream chunk = new ByteArrayOutputStream();
        if (!call.isStreamed()) chunk.write(isFirst ? '[' : ',');
        chunk.writeBytes(codec.encode(value));
        if (call.isStreamed()) chunk.write('\n');
        isFirst = false;
        return chunk.toByteArray();
    }

    void end() throws Exception {
        if (!call.isStreamed()) call.chunks().write(new byte[] {(byte) (isFirst ? '[' : ']')});
        if (!call.isStreamed() && isFirst) call.chunks().write(new byte[] {']'});
        call.chunks().end();
    }
}
