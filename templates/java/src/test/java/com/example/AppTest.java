package com.example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import nffi.Config;
import nffi.Json;
import nffi.testing.CallFailed;
import nffi.testing.TestCall;
import nffi.testing.TestRuntime;
import org.junit.jupiter.api.Test;

/** The runtime over the real queue, without nginx. */
class AppTest {
    private static TestRuntime load(Map<String, Object> config) {
        return TestRuntime.serve(App.create(Config.of(config)));
    }

    private static String call(TestRuntime runtime, String method, Map<String, ?> request)
            throws CallFailed {
        byte[] response =
                runtime.call(method, Json.write(request).getBytes(StandardCharsets.UTF_8));
        return new String(response, StandardCharsets.UTF_8);
    }

    @Test
    void greets() throws Exception {
        try (TestRuntime runtime = load(Map.of("greeting", "welcome"))) {
            assertEquals("{\"greeting\":\"welcome Ada\"}",
                    call(runtime, "hello", Map.of("name", "Ada")));
        }
    }

    @Test
    void refusesAnEmptyName() throws Exception {
        try (TestRuntime runtime = load(Map.of())) {
            CallFailed failed = assertThrows(CallFailed.class,
                    () -> call(runtime, "hello", Map.of("name", " ")));
            assertEquals("java.lang.IllegalArgumentException: the name is empty",
                    failed.getMessage());
            assertTrue(failed.detail().contains("App.java"), failed.detail());
        }
    }

    @Test
    void refusesWhatJsonDoesNotHave() {
        Exception refused = assertThrows(IllegalArgumentException.class,
                () -> new JacksonCodec().encode(Map.of("ratio", Double.NaN)));
        assertEquals("the result cannot become JSON: result.ratio is NaN (Double)",
                refused.getMessage());
    }

    @Test
    void waits() throws Exception {
        try (TestRuntime runtime = load(Map.of())) {
            assertEquals("20", call(runtime, "wait", Map.of("ms", 20)));
        }
    }

    @Test
    void ticks() throws Exception {
        byte[] request = "{\"ms\":1,\"count\":3}".getBytes(StandardCharsets.UTF_8);
        try (TestRuntime runtime = load(Map.of());
                TestCall call = runtime.stream("ticks", request)) {
            assertEquals(List.of("{\"tick\":1}\n", "{\"tick\":2}\n", "{\"tick\":3}\n"),
                    call.readAll());
        }
    }
}
