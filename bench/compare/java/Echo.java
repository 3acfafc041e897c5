// Returns the bytes of the request: in a thread of the pool, and in the loop that takes the calls.
import nffi.Handler;
import nffi.Methods;

public final class Echo {
    public static Handler create() {
        return new Methods()
                .bytes("", (context, bytes) -> bytes)
                .bytes("inline", (context, bytes) -> bytes)
                .inline("inline");
    }
}
