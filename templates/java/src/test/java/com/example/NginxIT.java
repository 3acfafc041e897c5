package com.example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The runtime through the real nginx with nginx.conf, on a free port. */
class NginxIT {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    private static Process nginx;
    private static String address;

    @BeforeAll
    static void start() throws Exception {
        nginx = new ProcessBuilder(".nffi/openresty/nffi/bin/nffi-nginx", "run")
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        address = new BufferedReader(
                new InputStreamReader(nginx.getInputStream(), StandardCharsets.UTF_8)).readLine();
        if (address == null) throw new IllegalStateException("nginx does not start:\n" + log());
    }

    /** It ends with its standard input, so also when this process is killed. */
    @AfterAll
    static void stop() throws Exception {
        nginx.getOutputStream().close();
        if (!nginx.waitFor(30, TimeUnit.SECONDS)) throw new IllegalStateException(log());
    }

    private static String log() throws Exception {
        return Files.readString(Path.of("run-test/logs/error.log"));
    }

    private static HttpResponse<String> request(String path) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(address + path))
                .timeout(Duration.ofSeconds(30)).build();
        return CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
    }

    private static String get(String path) throws Exception {
        return request(path).body();
    }

    @Test
    void helloAnswers() throws Exception {
        assertEquals("hello Ada\n", get("/hello?name=Ada"));
    }

    @Test
    void anErrorIsA500WithItsMessageInTheLogOnly() throws Exception {
        HttpResponse<String> refused = request("/hello?name=%20");
        assertEquals(500, refused.statusCode());
        assertFalse(refused.body().contains("the name is empty"), refused.body());
        Pattern entry = Pattern.compile(
                "the name is empty \\(runtime_error\\).* request: \"GET /hello");
        assertTrue(entry.matcher(log()).find(), log());
    }

    @Test
    void waitWaits() throws Exception {
        assertEquals("waited 50 ms\n", get("/wait?ms=50"));
    }

    @Test
    void ticksStream() throws Exception {
        assertEquals("tick 1\ntick 2\ntick 3\n", get("/ticks?ms=1&count=3"));
    }
}
