package utopia.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;

/** One command: read the row, decide, write the row, say what happened. The flow of processors/plan.go and command.go. */
final class Service implements Processor<String, byte[], String, byte[]> {
    static final String STORE = "customers";
    private static final int WINDOW = 32;

    private final Wire wire;
    private final Text.Letters letters;
    private final MessageDigest sha;
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> rows;

    Service(Wire wire, Text.Letters letters) {
        this.wire = wire;
        this.letters = letters;
        try {
            sha = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        this.rows = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, byte[]> record) {
        try {
            handle(record);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void handle(Record<String, byte[]> record) throws IOException {
        Wire.Inbound in = wire.command(record.value());
        if (!in.customerId().equals(record.key())) {
            throw new IOException("the record's key is not the id inside it");
        }
        String key = record.key();
        byte[] found = rows.get(key);
        Customer.Row row = found == null ? new Customer.Row(Customer.State.NONE, List.of()) : wire.readRow(found);
        long id = hash(in.commandId().getBytes(StandardCharsets.UTF_8));
        long body = hash(in.body());
        boolean reused = false;
        for (int i = row.handled().size() - 1; i >= 0; i--) {
            Customer.Handled h = row.handled().get(i);
            if (h.id() == id && h.body() == body) {
                answer(record, in, h, h.refusal().isEmpty() ? "" : Customer.Refusal.messageOf(h.refusal()), true);
                return;
            }
            reused |= h.id() == id;
        }
        long now = record.timestamp();
        Customer.Decision d;
        if (reused) {
            d = new Customer.Decision(null, Customer.Refusal.ID_REUSED);
        } else if (in.command() == null) {
            d = new Customer.Decision(null, Customer.Refusal.INVALID);
        } else {
            d = Customer.decide(row.state(), in.command(), now);
        }
        Customer.State after = row.state();
        if (d.event() != null) {
            after = Customer.evolve(row.state(), d.event());
            publish(record, in, row.state(), after, d.event());
        }
        String code = d.refusal() == null ? "" : d.refusal().code;
        Customer.Handled h = new Customer.Handled(id, body, code, after.version(), Math.floorDiv(now, 1000));
        rows.put(key, wire.row(key, after, push(row.handled(), h)));
        answer(record, in, h, d.refusal() == null ? "" : d.refusal().message, false);
    }

    private void publish(Record<String, byte[]> record, Wire.Inbound in, Customer.State before, Customer.State after, Customer.Event e)
            throws IOException {
        String key = record.key();
        long at = record.timestamp();
        send(record, key, wire.event(in, after.version(), e), "events");
        byte[] change = wire.change(in, before, after, at, e);
        if (change != null) {
            send(record, key, change, "changes");
        }
        if (e instanceof Customer.Requested) {
            String causation = key + "/" + after.version();
            String mailId = "customer/" + causation + "/1";
            send(record, mailId, wire.mail(in, mailId, causation, after, letters.confirmation(after)), "mails");
        }
        send(record, key, wire.state(key, after, at), "state");
    }

    private void answer(Record<String, byte[]> record, Wire.Inbound in, Customer.Handled h, String message, boolean repeat) throws IOException {
        RecordMetadata where = context.recordMetadata().orElseThrow();
        String to = in.replyTo().isEmpty() ? in.customerId() : in.replyTo();
        send(record, to, wire.reply(in, to, h, message, where.partition(), where.offset(), repeat), "replies");
    }

    private void send(Record<String, byte[]> cause, String key, byte[] value, String sink) {
        context.forward(new Record<>(key, value, cause.timestamp()), sink);
    }

    private static List<Customer.Handled> push(List<Customer.Handled> handled, Customer.Handled h) {
        int from = Math.max(0, handled.size() - WINDOW + 1);
        List<Customer.Handled> next = new ArrayList<>(handled.size() - from + 1);
        next.addAll(handled.subList(from, handled.size()));
        next.add(h);
        return next;
    }

    private long hash(byte[] b) {
        return ByteBuffer.wrap(sha.digest(b)).getLong();
    }
}
