package testnet

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel kill the node if this process dies first, so that
// an interrupted test leaves nothing behind.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
