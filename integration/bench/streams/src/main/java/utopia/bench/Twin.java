package utopia.bench;

import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The twin: `Twin key=value ...` reads customer.commands.v1 and does to it what the customer service does. It prints "ready" when all its
 * partitions are recovered, and ends when its input does: in order, leaving the group.
 */
public final class Twin {
    private Twin() {}

    public static void main(String[] args) throws IOException, InterruptedException {
        Map<String, String> o = new HashMap<>();
        Map<String, Integer> ids = new HashMap<>();
        for (String arg : args) {
            String[] kv = arg.split("=", 2);
            if (kv[0].startsWith("id.")) {
                ids.put(kv[0].substring(3), Integer.parseInt(kv[1]));
            } else {
                o.put(kv[0], kv[1]);
            }
        }
        long born = System.nanoTime();
        KafkaStreams streams = new KafkaStreams(topology(ids, Boolean.parseBoolean(o.get("cache"))), config(o));
        AtomicBoolean told = new AtomicBoolean();
        CountDownLatch failed = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING && told.compareAndSet(false, true)) {
                System.out.printf("{\"seconds\": %.3f}%n", (System.nanoTime() - born) / 1e9);
            }
            if (now == KafkaStreams.State.ERROR) {
                failed.countDown();
            }
        });
        streams.start();
        Thread input = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {}
            } catch (IOException e) {
                // the same as its end
            }
            streams.close(new KafkaStreams.CloseOptions().leaveGroup(true).timeout(Duration.ofSeconds(15)));
            System.exit(0);
        });
        input.start();
        failed.await();
        System.exit(1);
    }

    private static Topology topology(Map<String, Integer> ids, boolean cache) {
        StoreBuilder<KeyValueStore<String, byte[]>> rows = Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(Service.STORE), Serdes.String(), Serdes.ByteArray());
        rows = cache ? rows.withCachingEnabled() : rows.withCachingDisabled();
        Text.Letters letters = new Text.Letters();
        return new Topology()
                .addSource("commands", Serdes.String().deserializer(), Serdes.ByteArray().deserializer(), "customer.commands.v1")
                .addProcessor("service", () -> new Service(new Wire(ids), letters), "commands")
                .addStateStore(rows, "service")
                .addSink("events", "customer.events.v1", Serdes.String().serializer(), Serdes.ByteArray().serializer(), "service")
                .addSink("changes", "customer.changes.v1", Serdes.String().serializer(), Serdes.ByteArray().serializer(), "service")
                .addSink("mails", "mail.commands.v1", Serdes.String().serializer(), Serdes.ByteArray().serializer(), "service")
                .addSink("state", "customer.state.v1", Serdes.String().serializer(), Serdes.ByteArray().serializer(), "service")
                .addSink("replies", "customer.replies.v1", Serdes.String().serializer(), Serdes.ByteArray().serializer(), "service");
    }

    private static Properties config(Map<String, String> o) {
        Properties p = new Properties();
        p.put("application.id", o.get("application"));
        p.put("bootstrap.servers", o.get("brokers"));
        p.put("state.dir", o.get("dir"));
        p.put("processing.guarantee", o.get("guarantee"));
        p.put("commit.interval.ms", o.get("commit"));
        p.put("num.stream.threads", o.get("threads"));
        p.put("statestore.cache.max.bytes", Long.toString(64L << 20)); // as large as our row cache
        p.put("replication.factor", "1");
        p.put("main.consumer.auto.offset.reset", "earliest");
        p.put("main.consumer.group.instance.id", o.get("instance"));
        p.put("main.consumer.session.timeout.ms", o.get("session"));
        p.put("producer.transaction.timeout.ms", "10000");
        p.put("acceptable.recovery.lag", o.get("lag"));
        return p;
    }
}
