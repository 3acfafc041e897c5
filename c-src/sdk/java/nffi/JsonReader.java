package nffi;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads one JSON text. */
final class JsonReader {
    /** Levels of lists and maps, as everywhere in nffi. */
    static final int MAX_DEPTH = 1000;

    /** Digits of a whole number; the time for more grows with their square. */
    private static final int MAX_DIGITS = 1000;

    private final String text;
    private int at;

    JsonReader(String text) {
        this.text = text;
    }

    Object document() {
        Object value = value(0);
        blanks();
        if (at < text.length()) throw wrong("there is more after the end");
        return value;
    }

    private Object value(int depth) {
        if (depth > MAX_DEPTH) throw wrong("nested too deeply");
        blanks();
        if (at == text.length()) throw wrong("it ends too early");
        char c = text.charAt(at);
        switch (c) {
            case '{':
                return map(depth);
            case '[':
                return list(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                if (c == '-' || (c >= '0' && c <= '9')) return number();
                throw wrong("no value begins so");
        }
    }

    private Map<String, Object> map(int depth) {
        Map<String, Object> map = new LinkedHashMap<>();
        at++;
        if (takes('}')) return map;
        do {
            blanks();
            if (at == text.length() || text.charAt(at) != '"') throw wrong("expected a name");
            String name = string();
            if (!takes(':')) throw wrong("expected \":\"");
            map.put(name, value(depth + 1));
        } while (takes(','));
        if (!takes('}')) throw wrong("expected \",\" or \"}\"");
        return map;
    }

    private List<Object> list(int depth) {
        List<Object> list = new ArrayList<>();
        at++;
        if (takes(']')) return list;
        do {
            list.add(value(depth + 1));
        } while (takes(','));
        if (!takes(']')) throw wrong("expected \",\" or \"]\"");
        return list;
    }

    private String string() {
        StringBuilder out = new StringBuilder();
        for (at++; at < text.length(); at++) {
            char c = text.charAt(at);
            if (c == '"') {
                at++;
                return out.toString();
            }
            if (c < ' ') throw wrong("a control character in a string");
            out.append(c == '\\' ? escaped() : c);
        }
        throw wrong("a string has no end");
    }

    /** Of what begins with a backslash, and leaves the position at its last character. */
    private char escaped() {
        at++;
        char c = at < text.length() ? text.charAt(at) : 0;
        int which = "\"\\/bfnrt".indexOf(c);
        if (c != 0 && which >= 0) return "\"\\/\b\f\n\r\t".charAt(which);
        if (c == 'u' && at + 4 < text.length()) {
            String digits = text.substring(at + 1, at + 5);
            if (digits.matches("[0-9a-fA-F]{4}")) {
                at += 4;
                return (char) Integer.parseInt(digits, 16);
            }
        }
        throw wrong("no escape is like this");
    }

    private Object number() {
        int start = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) at++;
        String digits = text.substring(start, at);
        if (!digits.matches("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?")) {
            at = start;
            throw wrong("no number is like this");
        }
        boolean isWhole = digits.length() <= MAX_DIGITS && digits.matches("-?[0-9]+");
        if (!isWhole) return Double.valueOf(digits);
        // most whole numbers are far below the 19 digits of a long
        if (digits.length() < 19) return Long.valueOf(digits);
        BigInteger whole = new BigInteger(digits);
        return whole.bitLength() < 64 ? (Object) whole.longValue() : whole;
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) throw wrong("no value begins so");
        at += word.length();
        return value;
    }

    private boolean takes(char c) {
        blanks();
        if (at == text.length() || text.charAt(at) != c) return false;
        at++;
        return true;
    }

    private void blanks() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
    }

    private IllegalArgumentException wrong(String what) {
        int end = Math.min(text.length(), at + 20);
        String here = at < text.length() ? "\"" + text.substring(at, end) + "\"" : "its end";
        return new IllegalArgumentException("no JSON: " + what + " (at " + here + ")");
    }
}
