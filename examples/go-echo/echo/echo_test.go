package echo

import "testing"

func TestResponseIsPrefixAndRequest(t *testing.T) {
	config, err := ParseConfig([]byte(`{"prefix": "a: "}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(config.Respond([]byte("x\x00y"))); got != "a: x\x00y" {
		t.Errorf("got %q", got)
	}
}

func TestNoConfigurationIsAnEmptyOne(t *testing.T) {
	config, err := ParseConfig(nil)
	if err != nil || config != (Config{}) {
		t.Errorf("got %+v, %v", config, err)
	}
}

func TestConfigurationMustBeJSON(t *testing.T) {
	if _, err := ParseConfig([]byte("prefix=a")); err == nil {
		t.Error("no error")
	}
}
