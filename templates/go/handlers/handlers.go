// Package handlers is what this runtime does. It knows nothing of nginx.
package handlers

import (
	"context"
	"errors"
	"strings"
	"time"

	"nffi.local/nffi"
)

// Config is the configuration that Lua passes as `config` to nffi.load.
type Config struct {
	Greeting string `json:"greeting"`
}

// Validate is called before anything is started; its error is one of nffi.load.
func (c Config) Validate() error {
	if strings.TrimSpace(c.Greeting) != c.Greeting {
		return errors.New("greeting begins or ends with a space")
	}
	return nil
}

// New makes the handlers of one configuration.
func New(_ context.Context, config Config) (nffi.Handler, error) {
	if config.Greeting == "" {
		config.Greeting = "hello"
	}
	s := &service{config}
	return nffi.Methods{
		// takes microseconds and waits for nothing
		"hello": nffi.Inline(nffi.JSON(s.hello)),
		"wait":  nffi.JSON(s.wait),
	}, nil
}

type service struct{ config Config }

type helloRequest struct {
	Name string `json:"name"`
}

type helloResponse struct {
	Greeting string `json:"greeting"`
}

func (s *service) hello(_ context.Context, request helloRequest) (helloResponse, error) {
	name := strings.TrimSpace(request.Name)
	if name == "" {
		return helloResponse{}, errors.New("the name is empty")
	}
	return helloResponse{s.config.Greeting + " " + name}, nil
}

type waitRequest struct {
	MS int `json:"ms"`
}

type waitResponse struct {
	Waited int `json:"waited"`
}

// wait ends early when the call is cancelled.
func (s *service) wait(ctx context.Context, request waitRequest) (waitResponse, error) {
	select {
	case <-time.After(time.Duration(request.MS) * time.Millisecond):
		return waitResponse{request.MS}, nil
	case <-ctx.Done():
		return waitResponse{}, ctx.Err()
	}
}
