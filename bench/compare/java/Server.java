// The same function behind a unix socket: java Server.java SOCKET. A length of four bytes precedes
// each payload; a thread serves each connection.
import java.io.EOFException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;

public final class Server {
    public static void main(String[] args) throws IOException {
        try (var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(args[0]));
            while (true) {
                SocketChannel connection = server.accept();
                new Thread(() -> serve(connection)).start();
            }
        }
    }

    private static void serve(SocketChannel connection) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 16);
        try (connection) {
            while (true) {
                read(connection, buffer.clear().limit(4));
                int size = buffer.getInt(0);
                if (size + 4 > buffer.capacity()) {
                    buffer = ByteBuffer.allocateDirect(size + 4).putInt(size);
                }
                read(connection, buffer.limit(size + 4).position(4));
                buffer.rewind();
                while (buffer.hasRemaining()) {
                    connection.write(buffer);
                }
            }
        } catch (IOException closed) {
            // the client has ended the connection
        }
    }

    private static void read(SocketChannel connection, ByteBuffer buffer) throws IOException {
        while (buffer.hasRemaining()) {
            if (connection.read(buffer) < 0) {
                throw new EOFException();
            }
        }
    }
}
