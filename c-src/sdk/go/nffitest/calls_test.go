package nffitest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"nffi.local/nffi"
	"nffi.local/nffi/nffitest"
)

var background = context.Background()

func echo(_ context.Context, request nffi.Request) ([]byte, error) { return request.Data, nil }

// failureOf is what Lua would get.
func failureOf(t *testing.T, err error) *nffitest.Error {
	t.Helper()
	failure := &nffitest.Error{}
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, not a failure of the call", err)
	}
	return failure
}

func TestBytesOfAnySizeAreReturned(t *testing.T) {
	rt := nffitest.Serve(t, nffi.Methods{
		"":       nffi.HandlerFunc(echo),
		"inline": nffi.Inline(nffi.HandlerFunc(echo)),
		"own":    nffi.Bytes(func(_ context.Context, b []byte) ([]byte, error) { return b, nil }),
	})
	for _, method := range []string{"", "inline", "own"} {
		for _, size := range []int{0, 1, 4096, 4097, 300_000, 5_000_000} {
			sent := bytes.Repeat([]byte{0, 1, 255}, size/3+1)[:size]
			got, err := rt.Call(background, method, sent)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%q with %d bytes: %d bytes, %v", method, size, len(got), err)
			}
		}
	}
}

func TestJSONKeepsEachDigit(t *testing.T) {
	type typed struct {
		ID    int64
		Float float64
		Any   map[string]any
	}
	rt := nffitest.Serve(t, nffi.Methods{
		"any":   nffi.JSON(func(_ context.Context, v any) (any, error) { return v, nil }),
		"typed": nffi.JSON(func(_ context.Context, v typed) (typed, error) { return v, nil }),
		"kind":  nffi.JSON(func(_ context.Context, v []any) (string, error) { return fmt.Sprintf("%T", v[0]), nil }),
	})
	for method, text := range map[string]string{
		"any":   `[18446744073709551615,0.30000000000000004,"\u003c"]`,
		"typed": `{"ID":1732900000123456,"Float":5e-324,"Any":{"id":9007199254740993}}`,
	} {
		got, err := rt.Call(background, method, []byte(text))
		if err != nil || string(got) != text {
			t.Errorf("%s: sent %s, got %s, %v", method, text, got, err)
		}
	}
	if got, err := rt.Call(background, "kind", []byte("[1]")); string(got) != `"json.Number"` {
		t.Errorf("got %s, %v", got, err)
	}
	for text, want := range map[string]string{
		"\"\xff\"": "request: not UTF-8",
		"1 2":      "request: unexpected text after the value",
	} {
		_, err := rt.Call(background, "any", []byte(text))
		if got := failureOf(t, err).Message; got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestAValueThatJSONDoesNotHaveIsNamed(t *testing.T) {
	type part struct {
		Ratio float64 `json:"ratio"`
	}
	rt := nffitest.Serve(t, nffi.Methods{
		"nan": nffi.JSON(func(context.Context, any) (any, error) {
			return map[string]any{"items": []any{1, &part{math.NaN()}}}, nil
		}),
		"function": nffi.JSON(func(context.Context, any) (any, error) { return []any{func() {}}, nil }),
	})
	for method, want := range map[string]string{
		"nan":      "the result cannot become JSON: json: unsupported value: NaN (at result.items[1].ratio)",
		"function": "the result cannot become JSON: json: unsupported type: func() (at result[0])",
	} {
		_, err := rt.Call(background, method, nil)
		if got := failureOf(t, err).Message; got != want {
			t.Errorf("%s: %s", method, got)
		}
	}
}

func TestJSONTakesAndReturnsValues(t *testing.T) {
	type request struct{ Name string }
	type response struct {
		Greeting string `json:"greeting"`
	}
	rt := nffitest.Serve(t, nffi.Methods{
		"hello": nffi.JSON(func(_ context.Context, r request) (response, error) {
			return response{"hello " + r.Name}, nil
		}),
		"unsound": nffi.JSON(func(context.Context, any) (any, error) { return func() {}, nil }),
	})
	var got response
	if err := rt.JSON(background, "hello", request{"Ada"}, &got); err != nil || got.Greeting != "hello Ada" {
		t.Errorf("got %+v, %v", got, err)
	}
	if text, err := rt.Call(background, "hello", nil); string(text) != `{"greeting":"hello "}` {
		t.Errorf("a call without bytes: %s, %v", text, err)
	}
	_, err := rt.Call(background, "hello", []byte(`{"name": 1}`))
	if !strings.HasPrefix(err.Error(), "request: json: cannot unmarshal number") {
		t.Error(err)
	}
	_, err = rt.Call(background, "unsound", nil)
	if !strings.HasPrefix(err.Error(), "the result cannot become JSON: json: unsupported type: func()") {
		t.Error(err)
	}
}

func TestAMethodThatIsNotThereIsNamed(t *testing.T) {
	rt := nffitest.Serve(t, nffi.Methods{"b": nffi.HandlerFunc(echo), "a": nffi.HandlerFunc(echo)})
	_, err := rt.Call(background, "c", nil)
	if err == nil || err.Error() != `unknown method "c"; methods: a, b` {
		t.Error(err)
	}
	_, err = rt.Call(background, "", nil)
	if err == nil || err.Error() != "a call without a method has no handler; methods: a, b" {
		t.Error(err)
	}
}

func TestErrorsArriveWithWhatTheyTell(t *testing.T) {
	errs := map[string]error{
		"plain":  errors.New("no luck"),
		"detail": fmt.Errorf("wrapped: %w", &nffi.Error{Message: "no luck", Detail: "line 1"}),
		"code":   &nffi.Error{Message: "no luck", Code: 7},
	}
	rt := nffitest.Serve(t, nffi.HandlerFunc(func(_ context.Context, r nffi.Request) ([]byte, error) {
		return nil, errs[r.Method]
	}))
	wanted := map[string]nffitest.Error{
		"plain":  {Message: "no luck", Code: "runtime_error"},
		"detail": {Message: "wrapped: no luck", Code: "runtime_error", Detail: "line 1"},
		"code":   {Message: "no luck", Code: "runtime_error", RC: 7},
	}
	for name, want := range wanted {
		_, err := rt.Call(background, name, nil)
		if got := *failureOf(t, err); got != want {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func panics(context.Context, nffi.Request) ([]byte, error) { panic("no luck") }

func ends(context.Context, nffi.Request) ([]byte, error) {
	runtime.Goexit()
	return nil, nil
}

func TestPanicAndGoexitFailThatCallOnly(t *testing.T) {
	handlers := nffi.Methods{
		"":       nffi.HandlerFunc(echo),
		"panics": nffi.HandlerFunc(panics),
		"ends":   nffi.HandlerFunc(ends),
	}
	for name, handler := range handlers {
		if name != "" {
			handlers["inline "+name] = nffi.Inline(handler)
		}
	}
	rt := nffitest.Serve(t, handlers)
	for _, how := range []string{"", "inline "} {
		_, err := rt.Call(background, how+"panics", nil)
		failure := failureOf(t, err)
		if failure.Message != "panic: no luck" || !strings.Contains(failure.Detail, "calls_test.go:") {
			t.Errorf("%s: got %+v", how, failure)
		}
		_, err = rt.Call(background, how+"ends", nil)
		if failureOf(t, err).Message != "the handler has ended its goroutine (runtime.Goexit)" {
			t.Error(err)
		}
		if got, err := rt.Call(background, "", []byte("on")); string(got) != "on" {
			t.Errorf("afterwards: %s, %v", got, err)
		}
	}
}

func TestNoPayloadIsNilAndAnEmptyOneIsNot(t *testing.T) {
	tell := func(_ context.Context, data []byte) ([]byte, error) {
		return []byte(fmt.Sprint(data == nil, len(data))), nil
	}
	rt := nffitest.Serve(t, nffi.Methods{
		"own": nffi.Bytes(tell),
		"task": nffi.HandlerFunc(func(c context.Context, r nffi.Request) ([]byte, error) {
			return tell(c, r.Data)
		}),
	})
	for _, method := range []string{"own", "task"} {
		for _, sent := range [][]byte{nil, {}, {0}} {
			want := fmt.Sprint(sent == nil, len(sent))
			if got, err := rt.Call(background, method, sent); string(got) != want {
				t.Errorf("%s: %s, %v instead of %s", method, got, err, want)
			}
		}
	}
}

func TestManyCallsAtOnceGetTheirOwnAnswers(t *testing.T) {
	wait := nffi.HandlerFunc(func(_ context.Context, r nffi.Request) ([]byte, error) {
		time.Sleep(time.Millisecond)
		return r.Data, nil
	})
	rt := nffitest.Serve(t, nffi.Methods{
		"quick":  nffi.HandlerFunc(echo),
		"inline": nffi.Inline(nffi.HandlerFunc(echo)),
		"wait":   wait,
		"panics": nffi.HandlerFunc(panics),
	})
	var group sync.WaitGroup
	for i := 0; i < 100; i++ {
		for _, method := range []string{"quick", "inline", "wait", "panics"} {
			method, i := method, i
			group.Add(1)
			go func() {
				defer group.Done()
				for j := 0; j < 20; j++ {
					// some are larger than what goes in a batch
					sent := strings.Repeat(fmt.Sprintf("%s %d %d ", method, i, j), 1+i*j/4)
					got, err := rt.Call(background, method, []byte(sent))
					if (method == "panics") != (err != nil) || (err == nil && string(got) != sent) {
						t.Errorf("%q: got %q, %v", sent, got, err)
					}
				}
			}()
		}
	}
	group.Wait()
	if left := rt.Unanswered(); left != 0 {
		t.Errorf("%d calls are unanswered", left)
	}
}

func TestASlowCallHoldsUpNobody(t *testing.T) {
	release := make(chan struct{})
	rt := nffitest.Serve(t, nffi.HandlerFunc(func(_ context.Context, r nffi.Request) ([]byte, error) {
		if r.Method == "slow" {
			<-release
		}
		return []byte(r.Method), nil
	}))
	slow := make(chan error)
	go func() {
		_, err := rt.Call(background, "slow", nil)
		slow <- err
	}()
	for i := 0; i < 100; i++ {
		if _, err := rt.Call(background, "quick", nil); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	if err := <-slow; err != nil {
		t.Error(err)
	}
}
