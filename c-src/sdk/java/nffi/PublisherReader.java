package nffi;

import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;

/** Reads a publisher one value at a time, and asks for the next one when there is credit. */
final class PublisherReader<R> implements Flow.Subscriber<R> {
    private final Call call;
    private final ValueChunks values;
    private Flow.Subscription subscription;
    /** Under the monitor: a chunk that waits for credit, and whether it is the last. */
    private byte[] waiting;
    private boolean isComplete;

    PublisherReader(Call call, ValueChunks values) {
        this.call = call;
        this.values = values;
    }

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
        this.subscription = subscription;
        call.onCancel(() -> {
            try {
                subscription.cancel();
            } finally {
                // the call still needs its response, which is discarded
                call.fail(new CancellationException("the stream was cancelled"));
            }
        });
        subscription.request(1);
    }

    @Override
    public void onNext(R value) {
        try {
            if (write(values.chunk(value))) subscription.request(1);
        } catch (Throwable thrown) {
            onError(thrown);
            subscription.cancel();
        }
    }

    /** False: it waits for credit. */
    private synchronized boolean write(byte[] chunk) {
        while (!call.chunks().tryWrite(chunk)) {
            CompletableFuture<Void> writable = call.chunks().writable();
            if (call.chunks().tryWrite(chunk)) return true;
            waiting = chunk;
            writable.thenRun(() -> call.execute(this::again));
            return false;
        }
        return true;
    }

    private void again() {
        byte[] chunk;
        boolean isLast;
        synchronized (this) {
            chunk = waiting;
            waiting = null;
            isLast = isComplete;
        }
        try {
            if (chunk == null || !write(chunk)) return;
            if (isLast) end();
            else subscription.request(1);
        } catch (Throwable thrown) {
            onError(thrown);
            subscription.cancel();
        }
    }

    @Override
    public void onError(Throwable thrown) {
        call.fail(thrown);
    }

    @Override
    public void onComplete() {
        synchronized (this) {
            isComplete = true;
            if (waiting != null) return;
        }
        end();
    }

    private void end() {
        try {
            values.end();
        } catch (Throwable thrown) {
            call.fail(thrown);
        }
    }
}
