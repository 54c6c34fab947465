import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Moves a customer, from Java: registers one, asks for another address, and waits for both replies.
 *
 * <pre>mvn -q compile exec:java -Dbroker=127.0.0.1:9092 -Dregistry=http://127.0.0.1:8081</pre>
 *
 * It uses the reference client, and Avro with Confluent's framing (magic byte 0, schema id in 4 bytes, body) written out, so
 * that nothing outside Maven Central is needed; with Confluent's KafkaAvroSerializer set
 * value.subject.name.strategy=TopicRecordNameStrategy, auto.register.schemas=false and use.latest.version=true.
 */
public final class Move {
  private static final String COMMANDS = "customer.commands.v1";
  private static final String REPLIES = "customer.replies.v1";

  private record Registered(int id, Schema schema) {}

  private final HttpClient http = HttpClient.newHttpClient();
  private final String registry;
  private final Map<Integer, Schema> byId = new HashMap<>();

  private Move(String registry) {
    this.registry = registry;
  }

  public static void main(String[] args) throws Exception {
    String broker = System.getProperty("broker", "127.0.0.1:9092");
    Move move = new Move(System.getProperty("registry", "http://127.0.0.1:8081"));
    String customer = "java-" + UUID.randomUUID();
    Map<String, Object> client = Map.of("bootstrap.servers", broker);
    try (KafkaProducer<String, byte[]> producer = new KafkaProducer<>(client, new StringSerializer(), new ByteArraySerializer());
        KafkaConsumer<String, byte[]> replies = consumer(broker)) {
      Registered register = move.latest(COMMANDS + "-utopia.customer.RegisterCustomer");
      GenericRecordBuilder command = move.command(register, customer, UUID.randomUUID().toString());
      command.set("name", "Zoë Müller").set("email", customer + "@example.org").set("language", "nl");
      command.set("address", address(register, "Amsterdam", "1012 JS", "Dam 1"));
      move.ask(producer, replies, customer, register, command.build());

      Registered request = move.latest(COMMANDS + "-utopia.customer.RequestAddressChange");
      command = move.command(request, customer, UUID.randomUUID().toString());
      Schema reason = request.schema.getField("reason").schema();
      command.set("reason", new org.apache.avro.generic.GenericData.EnumSymbol(reason, "moved"));
      command.set("address", address(request, "Gouda", "2801 JG", "Markt 1"));
      move.ask(producer, replies, customer, request, command.build());
      System.out.println(customer + " is asked to confirm the move to Gouda");
    }
  }

  /** Reads all partitions from where they end now. Only committed replies are shown. */
  private static KafkaConsumer<String, byte[]> consumer(String broker) {
    Map<String, Object> settings = Map.of("bootstrap.servers", broker, "isolation.level", "read_committed");
    KafkaConsumer<String, byte[]> c = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer());
    List<TopicPartition> all =
        c.partitionsFor(REPLIES).stream().map(p -> new TopicPartition(p.topic(), p.partition())).toList();
    c.assign(all);
    c.seekToEnd(all);
    all.forEach(c::position); // the seek is lazy
    return c;
  }

  /** A command with its id, which makes it safe to send again, and the defaults of the schema. */
  private GenericRecordBuilder command(Registered type, String customer, String id) {
    Schema metadata = type.schema.getField("metadata").schema();
    return new GenericRecordBuilder(type.schema)
        .set("customerId", customer)
        .set("metadata", new GenericRecordBuilder(metadata).set("commandId", id).build());
  }

  private static GenericRecord address(Registered type, String city, String postCode, String street) {
    return new GenericRecordBuilder(type.schema.getField("address").schema())
        .set("country", "NL").set("city", city).set("postCode", postCode).set("street", street).build();
  }

  private void ask(
      KafkaProducer<String, byte[]> producer, KafkaConsumer<String, byte[]> replies, String key, Registered type, GenericRecord command)
      throws Exception {
    producer.send(new ProducerRecord<>(COMMANDS, key, encode(type, command))).get();
    String id = ((GenericRecord) command.get("metadata")).get("commandId").toString();
    long end = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    while (System.nanoTime() < end) {
      for (ConsumerRecord<String, byte[]> r : replies.poll(Duration.ofMillis(200))) {
        GenericRecord reply = decode(r.value());
        if (reply.get("commandId").toString().equals(id)) {
          System.out.printf("%s: %s %s%n", type.schema.getName(), reply.get("outcome"), reply.get("message"));
          return;
        }
      }
    }
    throw new IllegalStateException("no reply to " + id);
  }

  private static byte[] encode(Registered type, GenericRecord record) throws Exception {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    new DataOutputStream(bytes).writeByte(0);
    new DataOutputStream(bytes).writeInt(type.id);
    BinaryEncoder body = EncoderFactory.get().binaryEncoder(bytes, null);
    new GenericDatumWriter<GenericRecord>(type.schema).write(record, body);
    body.flush();
    return bytes.toByteArray();
  }

  private GenericRecord decode(byte[] value) throws Exception {
    ByteBuffer framed = ByteBuffer.wrap(value);
    if (framed.get() != 0) {
      throw new IllegalArgumentException("not Confluent framing");
    }
    int id = framed.getInt();
    Schema schema = byId.get(id);
    if (schema == null) {
      schema = new Schema.Parser().parse(get("/schemas/ids/" + id).get("schema").asText());
      byId.put(id, schema);
    }
    return new GenericDatumReader<GenericRecord>(schema).read(null, DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null));
  }

  private Registered latest(String subject) throws Exception {
    JsonNode version = get("/subjects/" + subject + "/versions/latest");
    return new Registered(version.get("id").asInt(), new Schema.Parser().parse(version.get("schema").asText()));
  }

  private JsonNode get(String path) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(registry + path)).timeout(Duration.ofSeconds(10)).build();
    HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
    if (answer.statusCode() != 200) {
      throw new IllegalStateException(path + ": " + answer.body());
    }
    return new ObjectMapper().readTree(answer.body());
  }
}
