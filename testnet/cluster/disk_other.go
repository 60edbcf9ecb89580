//go:build !linux

package cluster

import "os"

// newDisk makes a file that nobody else can open.
func newDisk(name string) (*os.File, error) {
	f, err := os.CreateTemp("", name+"-*.db")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
