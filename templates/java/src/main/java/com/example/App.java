package com.example;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import nffi.Config;
import nffi.Context;
import nffi.Handler;
import nffi.Methods;

/** The runtime: registers a handler for each method. Lua loads it by the name of this class. */
public final class App {
    private final String greeting;

    private App(String greeting) {
        this.greeting = greeting;
    }

    /** Called for each configuration that Lua loads this class with. */
    public static Handler create(Config config) {
        App app = new App(config.get("greeting", "hello"));
        return new Methods(new JacksonCodec())
                .add("hello", Hello.class, app::hello)
                .async("wait", Wait.class, App::waitFor)
                .stream("ticks", Ticks.class, App::ticks);
    }

    private Greeting hello(Context context, Hello hello) {
        if (hello.name == null || hello.name.isBlank()) {
            throw new IllegalArgumentException("the name is empty");
        }
        return new Greeting(greeting + " " + hello.name);
    }

    /** No thread waits for it. */
    private static CompletableFuture<Integer> waitFor(Context context, Wait wait) {
        return CompletableFuture.supplyAsync(() -> wait.ms,
                CompletableFuture.delayedExecutor(wait.ms, TimeUnit.MILLISECONDS));
    }

    /** As fast as the client reads; ends when it goes. */
    private static void ticks(Context context, Ticks ticks, Methods.Sender<Object> out)
            throws Exception {
        for (int i = 1; i <= ticks.count; i++) {
            Thread.sleep(Duration.ofMillis(ticks.ms).toMillis());
            out.send(new Tick(i));
        }
    }

    /** The requests and responses in Lua, as JSON. */
    static final class Hello {
        public String name;
    }

    static final class Greeting {
        public final String greeting;

        Greeting(String greeting) {
            this.greeting = greeting;
        }
    }

    static final class Wait {
        public int ms;
    }

    static final class Ticks {
        public int ms;
        public int count;
    }

    static final class Tick {
        public final int tick;

        Tick(int tick) {
            this.tick = tick;
        }
    }
}
