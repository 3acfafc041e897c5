// Package echo answers requests with their own bytes. It knows nothing of
// nginx, so it is tested like any other package.
package echo

import (
	"encoding/json"
	"fmt"
	"time"
)

// Config is the configuration that Lua passes when it loads the library, as JSON.
type Config struct {
	// Prefix is put before each response.
	Prefix string `json:"prefix"`
	// DelayMS is how long each response takes.
	DelayMS int `json:"delay_ms"`
}

// ParseConfig reads a configuration; no text at all is an empty one.
func ParseConfig(text []byte) (Config, error) {
	var config Config
	if len(text) == 0 {
		return config, nil
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return config, fmt.Errorf("configuration: %w", err)
	}
	return config, nil
}

// Respond returns the response to one request.
func (c Config) Respond(request []byte) []byte {
	time.Sleep(time.Duration(c.DelayMS) * time.Millisecond)
	return append([]byte(c.Prefix), request...)
}
