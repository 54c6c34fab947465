package utopia.bench;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.text.Normalizer;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** What is asked of text that people wrote, and the letters that are written with it. */
final class Text {
    private static final Pattern POST_CODE = Pattern.compile("[1-9]\\d{3} ?[A-Z]{2}");
    private static final Pattern EMAIL = Pattern.compile("[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)*");
    private static final DateTimeFormatter UNTIL = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm 'UTC'").withZone(ZoneOffset.UTC);

    private Text() {}

    /** One line: trimmed, composed, without control characters; null if it is none. */
    static String line(String s) {
        String t = s.strip();
        if (!Normalizer.isNormalized(t, Normalizer.Form.NFC)) {
            t = Normalizer.normalize(t, Normalizer.Form.NFC);
        }
        int n = 0;
        for (int i = 0; i < t.length(); i++) {
            char c = t.charAt(i);
            if (Character.isISOControl(c) || c == '\u2028' || c == '\u2029' || c >= '\u202a' && c <= '\u202e') {
                return null;
            }
            n++;
        }
        return n > 200 ? null : t;
    }

    /** An address by the rules of its country; null if it keeps them not. The benchmark's people live in the Netherlands. */
    static Customer.Address address(Customer.Address a) {
        String region = line(a.region());
        String city = line(a.city());
        String district = line(a.district());
        String postCode = line(a.postCode());
        String sortingCode = line(a.sortingCode());
        String street = line(a.street());
        if (region == null || city == null || district == null || postCode == null || sortingCode == null || street == null) {
            return null;
        }
        if (!a.country().equals("NL") || city.isEmpty() || street.isEmpty() || !POST_CODE.matcher(postCode).matches()) {
            return null;
        }
        return new Customer.Address(a.country(), region, city, district, postCode, sortingCode, street);
    }

    static String email(String s) {
        String t = line(s);
        return t != null && t.length() <= 254 && EMAIL.matcher(t).matches() ? t : null;
    }

    record Letter(String language, String subject, String text) {}

    /** The letters of processors/letters. */
    static final class Letters {
        private final Map<String, String> subjects = new HashMap<>();
        private final Map<String, List<String>> texts = new HashMap<>();

        Letters() {
            for (String language : new String[] {"en", "de", "es", "fr", "it", "nl", "pl", "pt"}) {
                String all = "\n" + resource("letters/" + language + ".txt");
                String start = "\n=== confirmation\nSubject: ";
                String text = all.substring(all.indexOf(start) + start.length());
                int end = text.indexOf("\n=== ");
                text = end < 0 ? text : text.substring(0, end);
                int body = text.indexOf("\n\n");
                subjects.put(language, text.substring(0, body));
                texts.put(language, cut(text.substring(body + 2).strip() + "\n"));
            }
        }

        Letter confirmation(Customer.State s) {
            String language = s.language().toLowerCase().split("-", 2)[0];
            if (!texts.containsKey(language)) {
                language = "en";
            }
            String name = harmless(s.name());
            String address = harmless(lines(s.change().address()));
            String until = UNTIL.format(Instant.ofEpochMilli(s.change().expiresAt()));
            return new Letter(language, subjects.get(language), fill(texts.get(language), name, address, until));
        }
    }

    private static String harmless(String s) {
        return s.replace("{", "{\u200b");
    }

    private static String lines(Customer.Address a) {
        StringBuilder b = new StringBuilder(a.street());
        String place = (a.postCode() + " " + a.city() + " " + a.sortingCode()).strip();
        for (String line : new String[] {a.district(), place, a.region(), a.country()}) {
            if (!line.isEmpty()) {
                b.append('\n').append(line);
            }
        }
        return b.toString();
    }

    /** A text cut at its gaps: text, gap, text, gap, text ... */
    private static List<String> cut(String text) {
        List<String> parts = new ArrayList<>();
        while (true) {
            int first = text.length();
            String gap = "";
            for (String name : new String[] {"{name}", "{address}", "{until}"}) {
                int i = text.indexOf(name);
                if (i >= 0 && i < first) {
                    first = i;
                    gap = name;
                }
            }
            parts.add(text.substring(0, first));
            if (gap.isEmpty()) {
                return parts;
            }
            parts.add(gap);
            text = text.substring(first + gap.length());
        }
    }

    private static String fill(List<String> parts, String name, String address, String until) {
        StringBuilder b = new StringBuilder(1024);
        for (int i = 0; i < parts.size(); i++) {
            String part = parts.get(i);
            if (i % 2 == 0) {
                b.append(part);
            } else if (part.equals("{name}")) {
                b.append(name);
            } else if (part.equals("{address}")) {
                b.append(address);
            } else {
                b.append(until);
            }
        }
        return b.toString();
    }

    static String resource(String name) {
        try (InputStream in = Text.class.getClassLoader().getResourceAsStream(name)) {
            if (in == null) {
                throw new IllegalStateException("no resource " + name);
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
