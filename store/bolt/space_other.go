//go:build !linux && !darwin && !freebsd

package bolt

import "errors"

// freeSpace is not known here: only a disk that is really full is noticed.
func freeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }
