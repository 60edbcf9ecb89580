package s2s

import "github.com/fxamacker/cbor/v2"

// Marshal encodes a frame.
func Marshal(v any) ([]byte, error) { return cbor.Marshal(v) }

// Unmarshal decodes a frame.
func Unmarshal(b []byte, v any) error { return cbor.Unmarshal(b, v) }
