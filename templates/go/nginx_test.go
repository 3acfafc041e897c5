//go:build e2e

package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"nffi.local/nffi/nffitest"
)

// get returns status and body of one request.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestThroughNginx(t *testing.T) {
	nginx := nffitest.StartNginx(t, "nginx.conf")

	t.Run("GET /hello answers", func(t *testing.T) {
		if status, body := get(t, nginx.URL+"/hello?name=Ada"); status != 200 || body != "hello Ada\n" {
			t.Errorf("%d %q", status, body)
		}
	})

	t.Run("an error of the handler is a 500, and its message is in the log only", func(t *testing.T) {
		status, body := get(t, nginx.URL+"/hello?name=%20")
		if status != 500 || strings.Contains(body, "the name is empty") {
			t.Errorf("%d %q", status, body)
		}
		entry := regexp.MustCompile(`the name is empty \(runtime_error\).* request: "GET /hello`)
		if log := nginx.Log(); !entry.MatchString(log) {
			t.Error(log)
		}
	})

	t.Run("a slow call does not delay others", func(t *testing.T) {
		slow := make(chan time.Time)
		go func() {
			get(t, nginx.URL+"/wait?ms=1000")
			slow <- time.Now()
		}()
		get(t, nginx.URL+"/hello?name=Ada")
		if answered := time.Now(); !answered.Before(<-slow) {
			t.Error("it waited")
		}
	})
}
