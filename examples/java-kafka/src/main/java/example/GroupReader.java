package example;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Flow;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A member of a consumer group that passes its records to one stream, at the pace of that stream.
 * It has a separate thread, since a consumer belongs to one thread and must poll the broker
 * regularly to stay a member.
 */
final class GroupReader implements Flow.Subscription, Runnable, ConsumerRebalanceListener {
    private static final Duration TURN = Duration.ofMillis(50);

    private final KafkaConsumer<String, String> consumer;
    private final Flow.Subscriber<? super Map<String, Object>> subscriber;
    private final AtomicLong wanted = new AtomicLong();
    private volatile boolean cancelled;

    // of the thread alone
    private final ArrayDeque<ConsumerRecord<String, String>> fetched = new ArrayDeque<>();
    private final Map<TopicPartition, OffsetAndMetadata> taken = new HashMap<>();

    /** What the runtime subscribes to, once for each call. */
    static final class Publisher implements Flow.Publisher<Map<String, Object>> {
        private final String servers;
        private final String group;
        private final String topic;

        Publisher(String servers, String group, String topic) {
            this.servers = servers;
            this.group = group;
            this.topic = topic;
        }

        @Override
        public void subscribe(Flow.Subscriber<? super Map<String, Object>> subscriber) {
            GroupReader reader = new GroupReader(servers, group, topic, subscriber);
            subscriber.onSubscribe(reader);
            new Thread(reader, "group " + group).start();
        }
    }

    private GroupReader(String servers, String group, String topic,
            Flow.Subscriber<? super Map<String, Object>> subscriber) {
        this.subscriber = subscriber;
        consumer = new KafkaConsumer<>(Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, servers,
                ConsumerConfig.GROUP_ID_CONFIG, group,
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
                ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false,
                ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 100),
                new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of(topic), this);
    }

    @Override
    public void request(long n) {
        wanted.addAndGet(n);
    }

    @Override
    public void cancel() {
        cancelled = true;
    }

    @Override
    public void run() {
        try (consumer) {
            while (!cancelled) {
                // a reader that is slower stays a member, but gets no more
                if (fetched.isEmpty()) consumer.resume(consumer.paused());
                else consumer.pause(consumer.assignment());
                consumer.poll(TURN).forEach(fetched::add);
                give();
                commit();
            }
            commit();
        } catch (Throwable failed) {
            // also for an error of the virtual machine: the reader must not wait without end
            subscriber.onError(failed);
        }
    }

    private void give() {
        while (!cancelled && !fetched.isEmpty() && wanted.get() > 0) {
            wanted.decrementAndGet();
            ConsumerRecord<String, String> record = fetched.remove();
            Map<String, Object> value = new LinkedHashMap<>();
            value.put("partition", record.partition());
            value.put("offset", record.offset());
            value.put("key", record.key());
            value.put("value", record.value());
            subscriber.onNext(value);
            taken.put(new TopicPartition(record.topic(), record.partition()),
                    new OffsetAndMetadata(record.offset() + 1));
        }
    }

    private void commit() {
        if (taken.isEmpty()) return;
        consumer.commitSync(taken);
        taken.clear();
    }

    /** Another member gets these: from where this one has stopped. */
    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        commit();
        forget(partitions);
    }

    /** Another member has had them for a while: there is nothing left to commit. */
    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        taken.keySet().removeAll(partitions);
        forget(partitions);
    }

    private void forget(Collection<TopicPartition> partitions) {
        fetched.removeIf(record ->
                partitions.contains(new TopicPartition(record.topic(), record.partition())));
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        // their committed offsets are where the consumer begins by itself
    }
}
