package s2s

import "github.com/fxamacker/cbor/v2"

// Marshal encodes a frame.
func Marshal(v any) ([]byte, error) { return cbor.Marshal(v) }
