package nffi;

import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What Lua says of a runtime: JSON, or "class,function,configuration". */
final class Settings {
    private final String module;
    private final String handler;
    private final Config config;
    private final List<File> classpath;
    /** 0: virtual threads. */
    private final int threads;

    private static final String FORM =
            "the configuration requires { module = \"com.example.App\" } in JSON, or"
                    + " \"class,function,configuration\"";

    private Settings(Map<String, Object> given) {
        module = text(given, "module");
        handler = text(given, "handler");
        config = new Config(given.get("config"));
        classpath = files(given.get("classpath"));
        threads = threadsOf(given.get("threads"));
        if (module == null || module.isEmpty()) throw new IllegalArgumentException(FORM);
    }

    static Settings read(String text) {
        if (!text.stripLeading().startsWith("{")) return ofParts(text.split(",", 3));
        Object given = new JsonReader(text).document();
        @SuppressWarnings("unchecked") // names are strings
        Map<String, Object> map = (Map<String, Object>) given;
        return new Settings(map);
    }

    private static Settings ofParts(String[] parts) {
        String function = parts.length > 1 ? parts[1].strip() : "";
        return new Settings(Map.of(
                "module", parts[0].strip(),
                "handler", function,
                "config", parts.length > 2 ? parts[2] : ""));
    }

    /** For a test: a handler is at hand already. */
    static Settings of(String module, Object config, int threads) {
        Map<String, Object> given = new java.util.HashMap<>();
        given.put("module", module);
        given.put("config", config);
        given.put("threads", (long) threads);
        return new Settings(given);
    }

    private static String text(Map<String, Object> given, String name) {
        Object value = given.get(name);
        if (value == null || "".equals(value)) return null;
        if (value instanceof String) return (String) value;
        throw new IllegalArgumentException(name + " must be a string, got " + value);
    }

    /** A list of files and directories, or one string with colons; "lib/*" stands for every jar. */
    private static List<File> files(Object value) {
        List<File> files = new ArrayList<>();
        if (value == null) return files;
        List<?> entries = value instanceof List
                ? (List<?>) value : List.of(String.valueOf(value).split(":"));
        for (Object entry : entries) {
            String path = String.valueOf(entry);
            if (!path.endsWith("/*")) {
                files.add(new File(path));
                continue;
            }
            File[] jars = new File(path.substring(0, path.length() - 2))
                    .listFiles((folder, name) -> name.endsWith(".jar"));
            if (jars == null) continue;
            java.util.Arrays.sort(jars);
            files.addAll(List.of(jars));
        }
        return files;
    }

    private static int threadsOf(Object value) {
        if (value == null) return Math.max(4, 2 * java.lang.Runtime.getRuntime().availableProcessors());
        if ("virtual".equals(value)) return 0;
        if (value instanceof Long && (Long) value >= 1 && (Long) value <= 10_000) {
            return ((Long) value).intValue();
        }
        throw new IllegalArgumentException(
                "threads must be a number from 1 to 10000 or \"virtual\", got " + value);
    }

    String module() {
        return module;
    }

    /** Null: none is named. */
    String handler() {
        return handler;
    }

    Config config() {
        return config;
    }

    List<File> classpath() {
        return classpath;
    }

    int threads() {
        return threads;
    }
}
