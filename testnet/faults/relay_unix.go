package faults

import (
	"errors"
	"syscall"
)

// isRefused reports whether nobody listens at the other end at the moment.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
