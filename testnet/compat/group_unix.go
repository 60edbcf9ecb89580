//go:build unix

package compat

import (
	"os/exec"
	"syscall"
)

// killTogether puts the runner and its children, one per file, into a process
// group, so that all of them end when its context does.
func killTogether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
