package nffi.testing;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.nio.file.Paths;

/** The crossings to libnffi_testhost: c-src/sdk/java/testing/testhost.c. */
final class HostNatives {
    static {
        System.load(library().toString());
    }

    private HostNatives() {}

    private static Path library() {
        String named = System.getProperty("nffi.testing.library");
        if (named != null) return Paths.get(named).toAbsolutePath();
        Path place;
        try {
            place = Paths.get(HostNatives.class.getProtectionDomain().getCodeSource()
                    .getLocation().toURI());
        } catch (java.net.URISyntaxException strange) {
            throw new IllegalStateException(strange);
        }
        for (Path above = place; above != null; above = above.getParent()) {
            Path library = above.resolve("lib").resolve("libnffi_java_testhost.so");
            if (new File(library.toString()).isFile()) return library;
        }
        Path home = home();
        if (home != null) return home.resolve("lib").resolve("libnffi_java_testhost.so");
        throw new UnsatisfiedLinkError(
                "libnffi_java_testhost.so not found in lib/ of any directory above " + place
                        + ": set -Dnffi.testing.library=PREFIX/nffi/lib/libnffi_java_testhost.so"
                        + " and -Dnffi.library=PREFIX/nffi/lib/libnffi_java.so");
    }

    /** PREFIX/nffi, for a copy of the jar elsewhere, such as Maven's; null: it is not known. */
    private static Path home() {
        try (InputStream in = HostNatives.class.getResourceAsStream("/nffi/home")) {
            return in == null ? null : Paths.get(new String(in.readAllBytes(), UTF_8));
        } catch (IOException unreadable) {
            return null;
        }
    }

    /** A host, or a negative code of nffi.h. */
    static native long create(int maxQueue);

    static native long queue(long host);

    static native void close(long host);

    static native int unanswered(long host);

    /** A call, or a negative code; window 0: it is not read in chunks. */
    static native long begin(long host, byte[] method, byte[] data, int timeoutMs, int window);

    /** The next chunk; null: the end. Waits. */
    static native byte[] read(long call);

    /** Waits; how it ended and its rc, then what it brought. */
    static native byte[] await(long call, int[] end, byte[][] detail);

    static native void cancel(long call);

    static native void free(long call);

    static native String errorText(int code);
}
