package utopia.bench;

import java.util.List;

/** The customer core: the part of processors/customer that the benchmark's commands need. It knows no Kafka and no Avro. */
final class Customer {
    static final long CONFIRM_WITHIN_MILLIS = 72L * 3600 * 1000;
    static final long SCHEDULE_WITHIN_MILLIS = 2L * 366 * 24 * 3600 * 1000;

    private Customer() {}

    record Address(String country, String region, String city, String district, String postCode, String sortingCode, String street) {
        static final Address NONE = new Address("", "", "", "", "", "", "");

        boolean isNone() {
            return equals(NONE);
        }
    }

    record Residence(
            Address address, String reason, long version, boolean verified, long occurredAt, long recordedAt, String source, String factId) {
        static final Residence NONE = new Residence(Address.NONE, "", 0, false, 0, 0, "", "");
    }

    /** An address change that has not taken effect; without an id there is none. */
    record Change(
            String id, String status, Address address, String reason, long version, long requestedAt, long expiresAt, long effectiveAt,
            long reminded, String undeliverable) {
        static final Change NONE = new Change("", "", Address.NONE, "", 0, 0, 0, 0, 0, "");
    }

    record State(long version, String status, String name, String email, String language, Residence address, Change change) {
        static final State NONE = new State(0, "", "", "", "", Residence.NONE, Change.NONE);
    }

    sealed interface Command permits Register, Request, Confirm, Cancel {}

    record Register(long expectedVersion, String name, String email, String language, Address address) implements Command {}

    record Request(long expectedVersion, String changeId, Address address, String reason, long effectiveAt) implements Command {}

    record Confirm(long expectedVersion, String changeId, long expiresAt) implements Command {}

    record Cancel(long expectedVersion, String changeId) implements Command {}

    sealed interface Event permits Registered, Requested, Scheduled, Cancelled, Moved, Corrected {}

    record Registered(long at, String name, String email, String language, Address address) implements Event {}

    record Requested(
            long at, String changeId, Address address, String reason, long expiresAt, long effectiveAt, String supersedes) implements Event {}

    record Scheduled(long at, String changeId, long effectiveAt) implements Event {}

    record Cancelled(long at, String changeId) implements Event {}

    record Moved(long at, String changeId, long occurredAt, Address address) implements Event {}

    record Corrected(long at, String changeId, long occurredAt, Address address) implements Event {}

    /** Why a command is refused: a stable code and a sentence, as in refusal.go. */
    enum Refusal {
        NOT_REGISTERED("not_registered", "no customer is registered with this id"),
        ALREADY_REGISTERED("already_registered", "a customer is registered with this id already"),
        VERSION_CONFLICT("version_conflict", "the customer has another version than the one expected"),
        NAME("name", "a name needs a letter or a digit"),
        NO_EMAIL("no_email", "an e-mail address is missing"),
        NO_ADDRESS("no_address", "an address is missing"),
        UNKNOWN_REASON("unknown_reason", "the reason of a change is moved or corrected"),
        SAME_ADDRESS("same_address", "this is the customer's address already"),
        EFFECTIVE_IN_PAST("effective_in_past", "the change would take effect in the past"),
        EFFECTIVE_TOO_LATE("effective_too_late", "the change would take effect more than two years from now"),
        NO_PENDING_CHANGE("no_pending_change", "no address change is pending"),
        OTHER_CHANGE("other_change", "another address change is pending"),
        ALREADY_CONFIRMED("already_confirmed", "the address change is confirmed already"),
        EXPIRED("expired", "the time to confirm the address change has passed"),
        ID_REUSED("id_reused", "this command id was used before for another command"),
        INVALID("invalid", "the command cannot be read");

        final String code;
        final String message;

        Refusal(String code, String message) {
            this.code = code;
            this.message = message;
        }

        static String messageOf(String code) {
            for (Refusal r : values()) {
                if (r.code.equals(code)) {
                    return r.message;
                }
            }
            return "";
        }
    }

    /** One event, or a refusal. */
    record Decision(Event event, Refusal refusal) {}

    static Decision decide(State s, Command c, long now) {
        if (c instanceof Register r) {
            return register(s, r, now);
        }
        if (s.version == 0) {
            return refused(Refusal.NOT_REGISTERED);
        }
        if (c instanceof Request r) {
            return request(s, r, now);
        }
        if (c instanceof Confirm r) {
            return confirm(s, r, now);
        }
        return cancel(s, (Cancel) c, now);
    }

    private static Decision refused(Refusal r) {
        return new Decision(null, r);
    }

    private static boolean conflicts(State s, long expected) {
        return expected != 0 && expected != s.version;
    }

    private static Decision register(State s, Register c, long now) {
        if (s.version != 0) {
            return refused(Refusal.ALREADY_REGISTERED);
        }
        if (conflicts(s, c.expectedVersion)) {
            return refused(Refusal.VERSION_CONFLICT);
        }
        if (c.name.isEmpty()) {
            return refused(Refusal.NAME);
        }
        if (c.email.isEmpty()) {
            return refused(Refusal.NO_EMAIL);
        }
        if (c.address.isNone()) {
            return refused(Refusal.NO_ADDRESS);
        }
        return new Decision(new Registered(now, c.name, c.email, c.language, c.address), null);
    }

    private static Decision request(State s, Request c, long now) {
        if (conflicts(s, c.expectedVersion)) {
            return refused(Refusal.VERSION_CONFLICT);
        }
        if (!c.reason.equals("moved") && !c.reason.equals("corrected")) {
            return refused(Refusal.UNKNOWN_REASON);
        }
        if (c.address.isNone()) {
            return refused(Refusal.NO_ADDRESS);
        }
        if (c.address.equals(s.address.address)) {
            return refused(Refusal.SAME_ADDRESS);
        }
        if (c.effectiveAt != 0 && c.effectiveAt <= now) {
            return refused(Refusal.EFFECTIVE_IN_PAST);
        }
        if (c.effectiveAt > now + SCHEDULE_WITHIN_MILLIS) {
            return refused(Refusal.EFFECTIVE_TOO_LATE);
        }
        return new Decision(
                new Requested(now, c.changeId, c.address, c.reason, now + CONFIRM_WITHIN_MILLIS, c.effectiveAt, s.change.id), null);
    }

    private static Decision confirm(State s, Confirm c, long now) {
        if (conflicts(s, c.expectedVersion)) {
            return refused(Refusal.VERSION_CONFLICT);
        }
        if (s.change.status.isEmpty()) {
            return refused(Refusal.NO_PENDING_CHANGE);
        }
        if (!s.change.id.equals(c.changeId)) {
            return refused(Refusal.OTHER_CHANGE);
        }
        if (s.change.status.equals("scheduled")) {
            return refused(Refusal.ALREADY_CONFIRMED);
        }
        if (now >= s.change.expiresAt || c.expiresAt != 0 && now >= c.expiresAt) {
            return refused(Refusal.EXPIRED);
        }
        if (c.expiresAt != 0 && c.expiresAt != s.change.expiresAt) {
            return refused(Refusal.OTHER_CHANGE);
        }
        if (s.change.effectiveAt > now) {
            return new Decision(new Scheduled(now, s.change.id, s.change.effectiveAt), null);
        }
        if (s.change.reason.equals("corrected")) {
            return new Decision(new Corrected(now, s.change.id, now, s.change.address), null);
        }
        return new Decision(new Moved(now, s.change.id, now, s.change.address), null);
    }

    private static Decision cancel(State s, Cancel c, long now) {
        if (conflicts(s, c.expectedVersion)) {
            return refused(Refusal.VERSION_CONFLICT);
        }
        if (s.change.status.isEmpty()) {
            return refused(Refusal.NO_PENDING_CHANGE);
        }
        if (!c.changeId.isEmpty() && !c.changeId.equals(s.change.id)) {
            return refused(Refusal.OTHER_CHANGE);
        }
        return new Decision(new Cancelled(now, s.change.id), null);
    }

    static State evolve(State s, Event e) {
        long v = s.version + 1;
        if (e instanceof Registered r) {
            return new State(v, "active", r.name, r.email, r.language,
                    new Residence(r.address, "registered", v, true, r.at, r.at, "", ""), Change.NONE);
        }
        if (e instanceof Requested r) {
            return new State(v, s.status, s.name, s.email, s.language, s.address,
                    new Change(r.changeId, "unconfirmed", r.address, r.reason, v, r.at, r.expiresAt, r.effectiveAt, 0, ""));
        }
        if (e instanceof Scheduled r) {
            Change c = s.change;
            return new State(v, s.status, s.name, s.email, s.language, s.address,
                    new Change(c.id, "scheduled", c.address, c.reason, c.version, c.requestedAt, 0, r.effectiveAt, c.reminded, ""));
        }
        if (e instanceof Cancelled) {
            return new State(v, s.status, s.name, s.email, s.language, s.address, Change.NONE);
        }
        if (e instanceof Moved r) {
            return new State(v, s.status, s.name, s.email, s.language,
                    new Residence(r.address, "moved", v, true, r.occurredAt, r.at, "", ""), Change.NONE);
        }
        Corrected r = (Corrected) e;
        return new State(v, s.status, s.name, s.email, s.language,
                new Residence(r.address, "corrected", v, true, r.occurredAt, r.at, "", ""), Change.NONE);
    }

    /** What a row holds beside the state: a command that was handled, and how. */
    record Handled(long id, long body, String refusal, long version, long at) {}

    record Row(State state, List<Handled> handled) {}
}
