package nffi_test

import (
	"errors"
	"testing"

	"nffi.local/nffi"
)

type settings struct {
	Region string `json:"region"`
	Pool   int    `json:"pool"`
}

func (s settings) Validate() error {
	if s.Pool < 0 {
		return errors.New("pool is negative")
	}
	return nil
}

func TestDecode(t *testing.T) {
	cases := []struct {
		text string
		want settings
		err  string
	}{
		{``, settings{}, ""},
		{`{"region": "eu", "pool": 2}`, settings{"eu", 2}, ""},
		{`{"regoin": "eu"}`, settings{}, `configuration: json: unknown field "regoin"`},
		{`{"pool": -1}`, settings{Pool: -1}, "pool is negative"},
		{`{} {}`, settings{}, "configuration: there is more after its end"},
		{`pool=1`, settings{}, "configuration: invalid character 'p' looking for beginning of value"},
	}
	for _, one := range cases {
		got, err := nffi.DecodeConfig[settings]([]byte(one.text))
		if message := ""; err != nil {
			message = err.Error()
			if message != one.err {
				t.Errorf("%s: %s", one.text, message)
			}
		} else if one.err != "" || got != one.want {
			t.Errorf("%s: got %+v", one.text, got)
		}
	}
}

type pointed struct{ N int }

func (p *pointed) Validate() error { return errors.New("seen") }

func TestValidateMayHaveAPointer(t *testing.T) {
	if _, err := nffi.DecodeConfig[pointed](nil); err == nil || err.Error() != "seen" {
		t.Error(err)
	}
}

func TestTextAndBytesAreGivenAsTheyAre(t *testing.T) {
	if got, err := nffi.DecodeConfig[string]([]byte("a=\x00b")); err != nil || got != "a=\x00b" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := nffi.DecodeConfig[[]byte]([]byte("{")); err != nil || string(got) != "{" {
		t.Errorf("%q, %v", got, err)
	}
}
