package cluster

import (
	"os"

	"golang.org/x/sys/unix"
)

// newDisk makes a file that is in memory only.
func newDisk(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
