//go:build !linux || !(amd64 || arm64)

package diskfault

import "os"

// Attach returns ErrUnsupported.
func (d *Disk) Attach() (*os.File, error) { return nil, ErrUnsupported }

// Exec returns ErrUnsupported.
func Exec([]string) error { return ErrUnsupported }
