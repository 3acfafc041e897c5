package nffi.testing;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Arrays;

/**
 * Runs the public static methods of classes, each a test that throws when it fails, and prints one
 * line for each: no test library, since the SDK has no dependencies.
 */
public final class Checks {
    private Checks() {}

    public static void main(String[] classes) throws Exception {
        int failed = 0;
        for (String name : classes) {
            Method[] methods = Class.forName(name).getDeclaredMethods();
            Arrays.sort(methods, (one, other) -> one.getName().compareTo(other.getName()));
            for (Method method : methods) {
                if (isTest(method)) failed += run(method);
            }
        }
        System.exit(failed == 0 ? 0 : 1);
    }

    private static boolean isTest(Method method) {
        int modifiers = method.getModifiers();
        return Modifier.isPublic(modifiers) && Modifier.isStatic(modifiers)
                && method.getParameterCount() == 0 && method.getReturnType() == void.class;
    }

    private static int run(Method method) throws Exception {
        try {
            method.invoke(null);
            System.out.println("ok " + method.getName());
            return 0;
        } catch (InvocationTargetException thrown) {
            System.out.println("not ok " + method.getName());
            thrown.getCause().printStackTrace(System.out);
            return 1;
        }
    }

    static void equal(Object got, Object wanted) {
        if (!java.util.Objects.equals(got, wanted)) {
            throw new AssertionError("got " + got + ", wanted " + wanted);
        }
    }

    static void holds(boolean condition, Object about) {
        if (!condition) throw new AssertionError(String.valueOf(about));
    }

    interface Action {
        void run() throws Exception;
    }

    static <T extends Exception> T fails(Class<T> type, Action action) throws Exception {
        try {
            action.run();
        } catch (Exception thrown) {
            if (type.isInstance(thrown)) return type.cast(thrown);
            throw thrown;
        }
        throw new AssertionError("it has not failed");
    }
}
