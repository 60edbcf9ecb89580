//go:build !unix

package compat

import "os/exec"

// killTogether does nothing where there are no process groups: the children end
// by their own timeouts.
func killTogether(*exec.Cmd) {}
