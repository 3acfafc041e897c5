package handlers_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"nffi.local/nffi/nffitest"

	"example.com/hello-runtime/handlers"
)

type response struct {
	Greeting string `json:"greeting"`
}

func TestHelloGreets(t *testing.T) {
	runtime := nffitest.ServeConfig(t, handlers.New, handlers.Config{Greeting: "welcome"})
	var got response
	err := runtime.JSON(context.Background(), "hello", map[string]any{"name": " Ada "}, &got)
	if err != nil || got.Greeting != "welcome Ada" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestANameIsNeeded(t *testing.T) {
	runtime := nffitest.ServeConfig(t, handlers.New, nil)
	_, err := runtime.Call(context.Background(), "hello", []byte(`{"name": " "}`))
	if err == nil || err.Error() != "the name is empty" {
		t.Errorf("got %v", err)
	}
}

func TestWaitEndsWithItsCaller(t *testing.T) {
	runtime := nffitest.ServeConfig(t, handlers.New, nil)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err := runtime.Call(ctx, "wait", []byte(`{"ms": 60000}`))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheConfigurationIsChecked(t *testing.T) {
	if err := (handlers.Config{Greeting: " hi"}).Validate(); err == nil {
		t.Error("no error")
	}
}
