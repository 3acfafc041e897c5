package nffi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// DecodeConfig decodes a configuration as ServeConfig does. No bytes are an empty
// configuration.
func DecodeConfig[C any](text []byte) (C, error) {
	var config C
	if err := decodeInto(&config, text); err != nil {
		return config, fmt.Errorf("configuration: %w", err)
	}
	if checked, ok := any(config).(interface{ Validate() error }); ok {
		return config, checked.Validate()
	}
	if checked, ok := any(&config).(interface{ Validate() error }); ok {
		return config, checked.Validate()
	}
	return config, nil
}

func decodeInto(config any, text []byte) error {
	switch config := config.(type) {
	case *string:
		*config = string(text)
		return nil
	case *[]byte:
		*config = append([]byte(nil), text...)
		return nil
	}
	if len(text) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(config); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("there is more after its end")
	}
	return nil
}
