package nffi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

// decoderOf returns a function that decodes a request into *Q. No bytes at all
// are the zero value. A number where Q has an interface is a json.Number, since
// a float64 would round integers above 2^53.
func decoderOf[Q any]() func(data []byte) (Q, error) {
	decode := json.Unmarshal
	if holdsInterface(reflect.TypeOf((*Q)(nil)).Elem(), map[reflect.Type]bool{}) {
		decode = unmarshalNumbers
	}
	return func(data []byte) (value Q, err error) {
		if len(data) == 0 {
			return value, nil
		}
		// encoding/json would replace what is not UTF-8
		if !utf8.Valid(data) {
			return value, errors.New("request: not UTF-8")
		}
		if err := decode(data, &value); err != nil {
			return value, fmt.Errorf("request: %w", err)
		}
		return value, nil
	}
}

func unmarshalNumbers(data []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(value); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("unexpected text after the value")
	}
	return nil
}

// holdsInterface reports whether a value of the type may hold a value of any
// type.
func holdsInterface(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Array, reflect.Map, reflect.Pointer, reflect.Slice:
		return holdsInterface(t.Elem(), seen)
	case reflect.Struct:
		for i := 0; i < t.NumField(); i++ {
			if holdsInterface(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

// encode returns a result as JSON; its error names the path of the value that
// JSON does not have.
func encode(result any) ([]byte, error) {
	text, err := json.Marshal(result)
	if err == nil {
		return text, nil
	}
	place, hint := "", hintFor(err)
	if path := placeOf(reflect.ValueOf(result)); path != "" {
		place = " (at result" + path + ")"
	}
	return nil, fmt.Errorf("the result cannot become JSON: %w%s%s", err, hint, place)
}

// hintFor returns what to use instead of a type that JSON does not have.
func hintFor(err error) string {
	unsupported := &json.UnsupportedTypeError{}
	if !errors.As(err, &unsupported) {
		return ""
	}
	switch unsupported.Type.Kind() {
	case reflect.Chan:
		return ": read it into a slice, or use nffi.JSONStream"
	case reflect.Map:
		return ": use map[string]any"
	}
	return ""
}

// maxPath bounds what a message shows of a path.
const maxPath = 200

// placeOf returns where in a value is what cannot be encoded, for messages only.
func placeOf(value reflect.Value) string {
	path := ""
	for len(path) < maxPath {
		name, part := firstBadPart(value)
		if name == "" {
			break
		}
		path, value = path+name, part
	}
	return path
}

func firstBadPart(value reflect.Value) (string, reflect.Value) {
	for value.Kind() == reflect.Interface || value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	switch value.Kind() {
	case reflect.Array, reflect.Slice:
		for i := 0; i < value.Len(); i++ {
			if part := value.Index(i); !isEncodable(part) {
				return fmt.Sprintf("[%d]", i), part
			}
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			if part := value.MapIndex(key); !isEncodable(part) {
				return fmt.Sprintf(".%v", key), part
			}
		}
	case reflect.Struct:
		for i := 0; i < value.NumField(); i++ {
			field := value.Type().Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "-" || !field.IsExported() {
				continue
			}
			if part := value.Field(i); !isEncodable(part) {
				if name == "" {
					name = field.Name
				}
				return "." + name, part
			}
		}
	}
	return "", value
}

func isEncodable(value reflect.Value) bool {
	_, err := json.Marshal(value.Interface())
	return err == nil
}
