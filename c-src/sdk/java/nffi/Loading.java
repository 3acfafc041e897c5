package nffi;

import java.io.File;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** Makes the handler that settings name. */
final class Loading {
    private static final String DEFAULT_METHOD = "create";

    private Loading() {}

    /**
     * The classes of one runtime, which are unloaded with it; the classes of the SDK are shared.
     * In a process its class path has them.
     */
    static ClassLoader loaderOf(Settings settings) throws MalformedURLException {
        List<File> files = settings.classpath();
        if (files.isEmpty()) return shared();
        URL[] urls = new URL[files.size()];
        for (int i = 0; i < urls.length; i++) {
            if (!files.get(i).exists()) {
                throw new NffiException("classpath: " + files.get(i) + " not found");
            }
            urls[i] = files.get(i).toURI().toURL();
        }
        return new URLClassLoader(urls, shared());
    }

    private static ClassLoader shared() {
        return Loading.class.getClassLoader();
    }

    /** Closes what loaderOf() made. */
    static void close(ClassLoader loader) throws IOException {
        if (loader != shared()) ((URLClassLoader) loader).close();
    }

    static Handler handlerOf(Settings settings, ClassLoader loader) throws Exception {
        Thread.currentThread().setContextClassLoader(loader);
        Class<?> type = classOf(settings, loader);
        if (settings.handler() != null) {
            return handlerOf(type, settings.handler(), settings.config());
        }
        if (Handler.class.isAssignableFrom(type)) {
            return (Handler) newInstance(type, settings.config());
        }
        if (methodsOf(type, DEFAULT_METHOD).isEmpty()) {
            throw new NffiException("the class " + type.getName() + " implements no nffi.Handler and"
                    + " has no public static method create() that returns one");
        }
        return handlerOf(type, DEFAULT_METHOD, settings.config());
    }

    private static Class<?> classOf(Settings settings, ClassLoader loader) throws Exception {
        try {
            return Class.forName(settings.module(), true, loader);
        } catch (ClassNotFoundException missing) {
            if (!settings.module().equals(missing.getMessage())) throw missing;
            String searched = settings.classpath().stream().map(File::getPath)
                    .collect(Collectors.joining(", "));
            throw new NffiException("class " + settings.module() + " not found in the classpath: "
                    + (searched.isEmpty() ? System.getProperty("java.class.path") : searched));
        }
    }

    private static Object newInstance(Class<?> type, Config config)
            throws Exception {
        for (Constructor<?> constructor : type.getConstructors()) {
            if (Arrays.equals(constructor.getParameterTypes(), new Class<?>[] {Config.class})) {
                return constructor.newInstance(config);
            }
        }
        try {
            return type.getConstructor().newInstance();
        } catch (NoSuchMethodException missing) {
            throw new NffiException("the class " + type.getName() + " has no public constructor that"
                    + " takes nothing or an nffi.Config (the class must also be public)");
        }
    }

    /** A loop, because the first stream of a process costs 10 ms of its start. */
    private static List<Method> methodsOf(Class<?> type, String name) {
        List<Method> found = new ArrayList<>();
        for (Method method : type.getMethods()) {
            if (method.getName().equals(name) && Modifier.isStatic(method.getModifiers())) {
                found.add(method);
            }
        }
        return found;
    }

    /** A static method that returns a handler, or is one. */
    private static Handler handlerOf(Class<?> type, String name, Config config)
            throws Exception {
        List<Method> found = methodsOf(type, name);
        for (Method method : found) {
            Class<?>[] takes = method.getParameterTypes();
            if (Handler.class.isAssignableFrom(method.getReturnType())) {
                if (takes.length == 0) return given(method, method.invoke(null));
                if (takes.length == 1 && takes[0] == Config.class) {
                    return given(method, method.invoke(null, config));
                }
            }
            Handler function = functionOf(method);
            if (function != null) return function;
        }
        throw new NffiException("the class " + type.getName() + " has no public static method "
                + name + (found.isEmpty() ? "" : " of a form that is known") + ": Handler " + name
                + "(), Handler " + name + "(Config), byte[] " + name + "(byte[]), byte[] "
                + name + "(Context, byte[]), String " + name + "(String) or void " + name
                + "(Call)");
    }

    private static Handler given(Method method, Object handler) {
        if (handler == null) throw new NffiException(method + " returned null");
        return (Handler) handler;
    }

    /** Null: the method has another form. */
    private static Handler functionOf(Method method) {
        List<Class<?>> takes = List.of(method.getParameterTypes());
        Class<?> gives = method.getReturnType();
        boolean isKnown = gives == void.class && takes.equals(List.of(Call.class))
                || gives == byte[].class && takes.equals(List.of(byte[].class))
                || gives == byte[].class && takes.equals(List.of(Context.class, byte[].class))
                || gives == String.class && takes.equals(List.of(String.class));
        return isKnown ? new OfMethod(method, takes.size()) : null;
    }

    /** No lambda: the first one of a process costs 10 ms of its start. */
    private static final class OfMethod implements Handler {
        private final Method method;
        private final Class<?> gives;
        private final int takes;

        OfMethod(Method method, int takes) {
            this.method = method;
            this.gives = method.getReturnType();
            this.takes = takes;
        }

        @Override
        public void handle(Call call) throws Exception {
            if (gives == void.class) invoke(call);
            else if (gives == String.class) call.respond((String) invoke(call.text()));
            else if (takes == 1) call.respond((byte[]) invoke(call.bytes()));
            else call.respond((byte[]) invoke(call, call.bytes()));
        }

        private Object invoke(Object... arguments) throws Exception {
            try {
                return method.invoke(null, arguments);
            } catch (InvocationTargetException thrown) {
                throw Failure.<Exception>rethrow(thrown.getCause());
            }
        }
    }
}
