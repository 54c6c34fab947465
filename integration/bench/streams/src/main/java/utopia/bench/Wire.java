package utopia.bench;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/**
 * The bytes of processors and schemas: Confluent framing on topics that are not private, single-object encoding on private ones. Fields
 * are written and read by hand with Avro's own encoder and decoder, which is the fastest way that Avro has. Not safe for concurrent use.
 */
final class Wire {
    private static final List<String> ADDRESS_REASONS = List.of("unknown", "registered", "moved", "corrected");
    private static final List<String> CHANGE_REASONS = List.of("unknown", "moved", "corrected");
    private static final List<String> CHANGE_STATUSES = List.of("unknown", "unconfirmed", "scheduled");
    private static final List<String> STATUSES = List.of("unknown", "unregistered", "active", "closed");

    private final Map<String, byte[]> publicHeaders = new HashMap<>();
    private final Map<String, byte[]> privateHeaders = new HashMap<>();
    private final Map<Integer, String> commands = new HashMap<>();
    private final ByteArrayOutputStream buffer = new ByteArrayOutputStream(1024);
    private final ByteArrayOutputStream inner = new ByteArrayOutputStream(256);
    private BinaryEncoder encoder;
    private BinaryEncoder innerEncoder;
    private BinaryDecoder decoder;

    /** @param ids the schema ids by subject, as the registry has given them */
    Wire(Map<String, Integer> ids) {
        ids.forEach((subject, id) -> {
            publicHeaders.put(subject, ByteBuffer.allocate(5).put((byte) 0).putInt(id).array());
            if (subject.startsWith("customer.commands.v1-")) {
                commands.put(id, subject.substring("customer.commands.v1-".length()));
            }
        });
        for (String file : new String[] {
            "customer-table/CustomerRow.1", "nested/PersonalData.1", "customer.events.v1/CustomerRegistered.2",
            "customer.events.v1/AddressChangeRequested.1", "customer.events.v1/AddressChangeScheduled.1",
            "customer.events.v1/AddressChangeCancelled.1", "customer.events.v1/CustomerMoved.1", "customer.events.v1/AddressCorrected.1",
            "customer.commands.v1/RegisterCustomer.1", "customer.commands.v1/RequestAddressChange.1",
            "customer.commands.v1/ConfirmAddressChange.1", "customer.commands.v1/CancelAddressChange.1"
        }) {
            Schema schema = new Schema.Parser().parse(Text.resource("schemas/" + file + ".avsc"));
            byte[] header = ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN).put((byte) 0xC3).put((byte) 1)
                    .putLong(SchemaNormalization.parsingFingerprint64(schema)).array();
            privateHeaders.put(schema.getFullName(), header);
        }
    }

    /** A command with its metadata. body is the command without metadata in single-object encoding: what is hashed. */
    record Inbound(Customer.Command command, String customerId, String commandId, String correlationId, String causationId, String replyTo, byte[] body) {}

    Inbound command(byte[] value) throws IOException {
        if (value.length < 5 || value[0] != 0) {
            throw new IOException("no Confluent framing");
        }
        String type = commands.get(ByteBuffer.wrap(value, 1, 4).getInt());
        if (type == null) {
            throw new IOException("an unknown schema id");
        }
        decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, decoder);
        String id = decoder.readString();
        String commandId = decoder.readString();
        String correlationId = decoder.readString();
        String causationId = decoder.readString();
        String replyTo = decoder.readString();
        long expected = decoder.readLong();
        Customer.Command command = null;
        begin(privateHeaders.get(type));
        encoder.writeString(id);
        for (int i = 0; i < 4; i++) {
            encoder.writeString("");
        }
        encoder.writeLong(0);
        switch (type) {
            case "utopia.customer.RegisterCustomer" -> {
                String name = decoder.readString();
                String email = decoder.readString();
                String language = decoder.readString();
                Customer.Address address = readAddress();
                encoder.writeString(name);
                encoder.writeString(email);
                encoder.writeString(language);
                write(encoder, address);
                name = Text.line(name);
                email = Text.email(email);
                address = Text.address(address);
                if (name != null && email != null && address != null) {
                    command = new Customer.Register(expected, name, email, language, address);
                }
            }
            case "utopia.customer.RequestAddressChange" -> {
                Customer.Address address = readAddress();
                int reason = decoder.readEnum();
                long effectiveAt = decoder.readLong();
                write(encoder, address);
                encoder.writeEnum(reason);
                encoder.writeLong(effectiveAt);
                address = Text.address(address);
                if (address != null) {
                    command = new Customer.Request(expected, commandId, address, CHANGE_REASONS.get(reason), effectiveAt);
                }
            }
            case "utopia.customer.ConfirmAddressChange" -> {
                String changeId = decoder.readString();
                long expiresAt = decoder.readLong();
                encoder.writeString(changeId);
                encoder.writeLong(expiresAt);
                command = new Customer.Confirm(expected, changeId, expiresAt);
            }
            case "utopia.customer.CancelAddressChange" -> {
                String changeId = decoder.readString();
                encoder.writeString(changeId);
                command = new Customer.Cancel(expected, changeId);
            }
            default -> throw new IOException("not a command of the benchmark: " + type);
        }
        return new Inbound(command, id, commandId, correlationId.isEmpty() ? commandId : correlationId, causationId, replyTo, end());
    }

    /** The private event. */
    byte[] event(Inbound in, long version, Customer.Event e) throws IOException {
        if (e instanceof Customer.Registered r) {
            begin(privateHeaders.get("utopia.customer.private.CustomerRegistered"));
            head(in, version, r.at());
            personal(r.name(), r.email(), r.language(), r.address());
            encoder.writeBoolean(false);
        } else if (e instanceof Customer.Requested r) {
            begin(privateHeaders.get("utopia.customer.private.AddressChangeRequested"));
            head(in, version, r.at());
            encoder.writeString(r.changeId());
            encoder.writeString(r.reason());
            encoder.writeLong(r.expiresAt());
            encoder.writeLong(r.effectiveAt());
            encoder.writeString(r.supersedes());
            personal("", "", "", r.address());
        } else if (e instanceof Customer.Scheduled r) {
            begin(privateHeaders.get("utopia.customer.private.AddressChangeScheduled"));
            head(in, version, r.at());
            encoder.writeString(r.changeId());
            encoder.writeLong(r.effectiveAt());
        } else if (e instanceof Customer.Cancelled r) {
            begin(privateHeaders.get("utopia.customer.private.AddressChangeCancelled"));
            head(in, version, r.at());
            encoder.writeString(r.changeId());
        } else if (e instanceof Customer.Moved r) {
            begin(privateHeaders.get("utopia.customer.private.CustomerMoved"));
            head(in, version, r.at());
            encoder.writeString(r.changeId());
            encoder.writeString("");
            encoder.writeString("");
            encoder.writeLong(r.occurredAt());
            encoder.writeBoolean(true);
            personal("", "", "", r.address());
        } else {
            Customer.Corrected r = (Customer.Corrected) e;
            begin(privateHeaders.get("utopia.customer.private.AddressCorrected"));
            head(in, version, r.at());
            encoder.writeString(r.changeId());
            encoder.writeLong(r.occurredAt());
            personal("", "", "", r.address());
        }
        return end();
    }

    /** The public change that follows from an event; null if none does. */
    byte[] change(Inbound in, Customer.State before, Customer.State after, long at, Customer.Event e) throws IOException {
        if (e instanceof Customer.Registered) {
            begin(publicHeaders.get("customer.changes.v1-utopia.customer.CustomerRegistered"));
            head(in, after.version(), at);
            encoder.writeString(after.name());
            encoder.writeString(after.email());
            encoder.writeString(after.language());
            publicResidence(after.address());
            return end();
        }
        String type;
        String changeId;
        if (e instanceof Customer.Moved r) {
            type = "CustomerMoved";
            changeId = r.changeId();
        } else if (e instanceof Customer.Corrected r) {
            type = "AddressCorrected";
            changeId = r.changeId();
        } else {
            return null;
        }
        begin(publicHeaders.get("customer.changes.v1-utopia.customer." + type));
        head(in, after.version(), at);
        encoder.writeString(changeId);
        publicResidence(before.address());
        publicResidence(after.address());
        return end();
    }

    byte[] state(String key, Customer.State s, long at) throws IOException {
        begin(publicHeaders.get("customer.state.v1-utopia.customer.CustomerState"));
        encoder.writeString(key);
        encoder.writeLong(s.version());
        encoder.writeEnum(STATUSES.indexOf(s.status()));
        encoder.writeString(s.name());
        encoder.writeString(s.email());
        encoder.writeString(s.language());
        publicResidence(s.address());
        Customer.Change c = s.change();
        if (c.status().isEmpty()) {
            encoder.writeIndex(0);
        } else {
            encoder.writeIndex(1);
            encoder.writeString(c.id());
            encoder.writeEnum(CHANGE_STATUSES.indexOf(c.status()));
            encoder.writeEnum(CHANGE_REASONS.indexOf(c.reason()));
            encoder.writeLong(c.version());
            encoder.writeLong(c.requestedAt());
            encoder.writeLong(c.expiresAt());
            encoder.writeLong(c.effectiveAt());
            encoder.writeString(c.undeliverable());
        }
        encoder.writeLong(at);
        return end();
    }

    byte[] mail(Inbound in, String mailId, String causationId, Customer.State s, Text.Letter letter) throws IOException {
        begin(publicHeaders.get("mail.commands.v1-utopia.mail.SendMail"));
        encoder.writeString(mailId);
        encoder.writeString(mailId);
        encoder.writeString(in.correlationId());
        encoder.writeString(causationId);
        encoder.writeString(in.customerId());
        encoder.writeLong(0);
        encoder.writeString("customer");
        encoder.writeString(s.email());
        encoder.writeString(letter.language());
        encoder.writeString(letter.subject());
        encoder.writeString(letter.text());
        encoder.writeString(""); // the mailer makes the HTML part
        encoder.writeArrayStart();
        encoder.setItemCount(2);
        link("confirm", "confirm_address_change", in.customerId(), s.change());
        link("reject", "cancel_address_change", in.customerId(), s.change());
        encoder.writeArrayEnd();
        return end();
    }

    private void link(String name, String purpose, String subject, Customer.Change change) throws IOException {
        encoder.startItem();
        encoder.writeString(name);
        encoder.writeString(purpose);
        encoder.writeString(subject);
        encoder.writeString(change.id());
        encoder.writeLong(change.expiresAt());
    }

    byte[] reply(Inbound in, String replyTo, Customer.Handled h, String message, int partition, long offset, boolean repeat) throws IOException {
        begin(publicHeaders.get("customer.replies.v1-utopia.customer.CustomerReply"));
        encoder.writeString(replyTo);
        encoder.writeString(in.commandId());
        encoder.writeString(in.correlationId());
        encoder.writeEnum(h.refusal().isEmpty() ? 1 : 2);
        encoder.writeString(h.refusal());
        encoder.writeString(message);
        encoder.writeString("customer");
        encoder.writeString(in.customerId());
        encoder.writeLong(h.version());
        encoder.writeInt(partition);
        encoder.writeLong(offset);
        encoder.writeBoolean(repeat);
        return end();
    }

    byte[] row(String key, Customer.State s, List<Customer.Handled> handled) throws IOException {
        begin(privateHeaders.get("utopia.customer.private.CustomerRow"));
        encoder.writeString(key);
        encoder.writeLong(s.version());
        encoder.writeString(s.status());
        encoder.writeString(s.name());
        encoder.writeString(s.email());
        encoder.writeString(s.language());
        Customer.Residence r = s.address();
        write(encoder, r.address());
        encoder.writeString(r.reason());
        encoder.writeLong(r.version());
        encoder.writeBoolean(r.verified());
        encoder.writeLong(r.occurredAt());
        encoder.writeLong(r.recordedAt());
        encoder.writeString(r.source());
        encoder.writeString(r.factId());
        Customer.Change c = s.change();
        encoder.writeString(c.id());
        encoder.writeString(c.status());
        write(encoder, c.address());
        encoder.writeString(c.reason());
        encoder.writeLong(c.version());
        encoder.writeLong(c.requestedAt());
        encoder.writeLong(c.expiresAt());
        encoder.writeLong(c.effectiveAt());
        encoder.writeLong(c.reminded());
        encoder.writeString(c.undeliverable());
        encoder.writeArrayStart();
        encoder.setItemCount(handled.size());
        for (Customer.Handled h : handled) {
            encoder.startItem();
            encoder.writeLong(h.id());
            encoder.writeLong(h.body());
            encoder.writeString(h.refusal());
            encoder.writeLong(h.version());
            encoder.writeLong(h.at());
        }
        encoder.writeArrayEnd();
        return end();
    }

    Customer.Row readRow(byte[] value) throws IOException {
        decoder = DecoderFactory.get().binaryDecoder(value, 10, value.length - 10, decoder);
        decoder.readString();
        long version = decoder.readLong();
        String status = decoder.readString();
        String name = decoder.readString();
        String email = decoder.readString();
        String language = decoder.readString();
        Customer.Residence residence = new Customer.Residence(readAddress(), decoder.readString(), decoder.readLong(), decoder.readBoolean(),
                decoder.readLong(), decoder.readLong(), decoder.readString(), decoder.readString());
        Customer.Change change = new Customer.Change(decoder.readString(), decoder.readString(), readAddress(), decoder.readString(),
                decoder.readLong(), decoder.readLong(), decoder.readLong(), decoder.readLong(), decoder.readLong(), decoder.readString());
        List<Customer.Handled> handled = new ArrayList<>(33);
        for (long n = decoder.readArrayStart(); n != 0; n = decoder.arrayNext()) {
            for (; n > 0; n--) {
                handled.add(new Customer.Handled(
                        decoder.readLong(), decoder.readLong(), decoder.readString(), decoder.readLong(), decoder.readLong()));
            }
        }
        return new Customer.Row(new Customer.State(version, status, name, email, language, residence, change), handled);
    }

    private void head(Inbound in, long version, long at) throws IOException {
        encoder.writeString(in.customerId());
        encoder.writeLong(version);
        encoder.writeLong(at);
        encoder.writeString(in.commandId());
        encoder.writeString(in.causationId());
        encoder.writeString(in.correlationId());
    }

    private void personal(String name, String email, String language, Customer.Address address) throws IOException {
        inner.reset();
        inner.writeBytes(privateHeaders.get("utopia.private.PersonalData"));
        innerEncoder = EncoderFactory.get().directBinaryEncoder(inner, innerEncoder);
        innerEncoder.writeString(name);
        innerEncoder.writeString(email);
        innerEncoder.writeString(language);
        write(innerEncoder, address);
        innerEncoder.writeString("");
        innerEncoder.writeArrayStart();
        innerEncoder.setItemCount(0);
        innerEncoder.writeArrayEnd();
        innerEncoder.flush();
        encoder.writeInt(0);
        encoder.writeBytes(inner.toByteArray());
    }

    private void publicResidence(Customer.Residence r) throws IOException {
        write(encoder, r.address());
        encoder.writeEnum(Math.max(0, ADDRESS_REASONS.indexOf(r.reason())));
        encoder.writeLong(r.version());
        encoder.writeBoolean(r.verified());
        encoder.writeLong(r.occurredAt());
        encoder.writeLong(r.recordedAt());
        encoder.writeString(r.source());
        encoder.writeString(r.factId());
    }

    private static void write(BinaryEncoder e, Customer.Address a) throws IOException {
        e.writeString(a.country());
        e.writeString(a.region());
        e.writeString(a.city());
        e.writeString(a.district());
        e.writeString(a.postCode());
        e.writeString(a.sortingCode());
        e.writeString(a.street());
    }

    private Customer.Address readAddress() throws IOException {
        return new Customer.Address(decoder.readString(), decoder.readString(), decoder.readString(), decoder.readString(),
                decoder.readString(), decoder.readString(), decoder.readString());
    }

    private void begin(byte[] header) {
        buffer.reset();
        buffer.writeBytes(header);
        encoder = EncoderFactory.get().binaryEncoder(buffer, encoder);
    }

    private byte[] end() throws IOException {
        encoder.flush();
        return buffer.toByteArray();
    }
}
