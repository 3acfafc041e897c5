package example;

import java.util.Map;
import java.util.concurrent.CompletableFuture;
import nffi.Config;
import nffi.Handler;
import nffi.Methods;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Kafka for Lua: {@code send} produces a record, {@code records} reads as a member of a consumer
 * group. One producer serves all calls; each reader has a separate consumer.
 */
public final class KafkaRuntime {
    private final String servers;
    private final KafkaProducer<String, String> producer;

    private KafkaRuntime(Config config) {
        servers = config.get("servers", "127.0.0.1:9092");
        producer = new KafkaProducer<>(Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, servers,
                ProducerConfig.MAX_BLOCK_MS_CONFIG, 3_000,
                ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, 3_000,
                ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, 5_000,
                ProducerConfig.LINGER_MS_CONFIG, 0), new StringSerializer(), new StringSerializer());
    }

    /** Called for each configuration that Lua loads this class with. */
    public static Handler create(Config config) {
        KafkaRuntime kafka = new KafkaRuntime(config);
        return new Methods()
                .async("send", Map.class, (context, request) -> kafka.send(request))
                .publish("records", Map.class, (context, request) -> kafka.records(request))
                .closing(kafka.producer);
    }

    /** Done when the broker has the record; no thread waits until then. */
    private CompletableFuture<Map<String, Object>> send(Map<?, ?> request) {
        ProducerRecord<String, String> record = new ProducerRecord<>(
                text(request, "topic"), key(request), text(request, "value"));
        CompletableFuture<Map<String, Object>> sent = new CompletableFuture<>();
        producer.send(record, (metadata, failed) -> {
            if (failed != null) {
                sent.completeExceptionally(failed);
            } else {
                sent.complete(Map.of("partition", metadata.partition(), "offset", metadata.offset()));
            }
        });
        return sent;
    }

    private GroupReader.Publisher records(Map<?, ?> request) {
        return new GroupReader.Publisher(servers, text(request, "group"), text(request, "topic"));
    }

    /** Records without one go to any partition. */
    private static String key(Map<?, ?> request) {
        return request == null || request.get("key") == null ? null : text(request, "key");
    }

    private static String text(Map<?, ?> request, String name) {
        Object value = request == null ? null : request.get(name);
        if (value instanceof String) return (String) value;
        throw new IllegalArgumentException(name + " must be a string, got " + value);
    }
}
