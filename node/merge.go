package node

import "parley/protocol"

// maxField bounds public, private, trusted and aux, in bytes of JSON: pictures in
// them are thumbnails, larger ones are files.
const maxField = 64 << 10

// merge applies what a client sets to what is there. Errors: Malformed, TooLarge.
func merge(old, change []byte) (merged []byte, changed bool, err error) {
	merged, changed, err = protocol.MergeJSON(old, change)
	switch {
	case err != nil:
		return nil, false, protocol.Malformed
	case changed && len(merged) > maxField:
		return nil, false, protocol.TooLarge
	}
	return merged, changed, nil
}
