// go-nats lets Lua publish, request and subscribe over one connection to a NATS
// server, which Lua has no client for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"nffi.local/nffi"
)

// Config is the configuration that Lua passes as `config`.
type Config struct {
	URL string `json:"url"`
	// Name is how the server knows the connection.
	Name string `json:"name"`
}

// Validate refuses what could never work, before anything is started.
func (c Config) Validate() error {
	if c.URL == "" {
		return errors.New("url is missing: nats://127.0.0.1:4222, say")
	}
	return nil
}

func init() { nffi.ServeConfig(start) }

func main() { nffi.Main() }

// start connects. Without a server, calls fail with the reason and start is
// retried; a connection that is lost later is restored by the client.
func start(ctx context.Context, config Config) (nffi.Handler, error) {
	connection, err := nats.Connect(config.URL, nats.Name(config.Name),
		nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.URL, err)
	}
	go func() {
		<-ctx.Done()
		connection.Close()
	}()
	b := &bus{connection}
	return nffi.Methods{
		"publish":   nffi.JSON(b.publish),
		"request":   nffi.JSON(b.request),
		"subscribe": nffi.JSONStream(b.subscribe),
	}, nil
}

type bus struct{ connection *nats.Conn }

// Message is one of NATS; its data is any value.
type Message struct {
	Subject string          `json:"subject"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// publish sends a message to the server and waits for its confirmation.
func (b *bus) publish(ctx context.Context, message Message) (bool, error) {
	if err := b.connection.Publish(message.Subject, message.Data); err != nil {
		return false, err
	}
	return true, b.flush(ctx)
}

// request waits for the reply of a subscriber to that subject.
func (b *bus) request(ctx context.Context, message Message) (Message, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	reply, err := b.connection.RequestWithContext(ctx, message.Subject, message.Data)
	if err != nil {
		return Message{}, err
	}
	return messageOf(reply), nil
}

// Subscription says what to watch and, unless 0, how many messages of it.
type Subscription struct {
	Subject string `json:"subject"`
	Count   int    `json:"count"`
}

// subscribe sends each message as it arrives, until the requested number is
// reached or the stream is cancelled. The first chunk says that the subscription
// exists.
func (b *bus) subscribe(ctx context.Context, s Subscription, send func(Message) error) error {
	subscription, err := b.connection.SubscribeSync(s.Subject)
	if err != nil {
		return err
	}
	defer subscription.Unsubscribe() //nolint:errcheck // the connection is closed then
	if err := b.flush(ctx); err != nil {
		return err
	}
	if err := send(Message{Subject: s.Subject}); err != nil {
		return err
	}
	for n := 0; s.Count == 0 || n < s.Count; n++ {
		message, err := subscription.NextMsgWithContext(ctx)
		if err != nil {
			return err
		}
		if err := send(messageOf(message)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bus) flush(ctx context.Context) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return b.connection.FlushWithContext(ctx)
}

// withDeadline: the client of NATS asks for one where it waits for an answer.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, 10*time.Second)
}

// messageOf keeps data that is JSON as it is, and takes other data for text.
func messageOf(message *nats.Msg) Message {
	data := message.Data
	if !json.Valid(data) {
		data, _ = json.Marshal(string(data))
	}
	return Message{Subject: message.Subject, Data: data}
}
