/** The least that a JVM does before a handler can run: it starts, and loads the class. */
public class Bare {
    public static void main(String[] args) throws Exception {
        Class.forName(args[0]).getDeclaredConstructor();
    }
}
