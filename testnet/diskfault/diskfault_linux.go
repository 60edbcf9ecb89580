//go:build linux && (amd64 || arm64)

package diskfault

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inherited is the descriptor by which Exec reports to Attach.
const inherited = 3

// asked are the calls that the kernel asks about.
var asked = []uint32{unix.SYS_PWRITE64, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC}

var arch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]

// Of <linux/seccomp.h>.
const flagContinue = 1

type (
	call struct {
		id         uint64
		pid, flags uint32
		nr         int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	verdict struct {
		id    uint64
		val   int64
		err   int32
		flags uint32
	}
)

// Attach gives the file that a process on d must inherit as its first one beyond the
// standard three. The process must call Exec; whoever starts it closes the file then.
func (d *Disk) Attach() (*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	d.watches.Go(func() { d.watch(pair[0]) })
	return os.NewFile(uintptr(pair[1]), "disk"), nil
}

// Exec puts the process that was started with the file of Attach on that disk, and executes
// the command in its place; it returns only if that fails.
func Exec(command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // filters are a thread's, and those of the thread that executes stay
	calls, err := filter()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err := unix.Sendmsg(inherited, []byte{0}, unix.UnixRights(calls), nil, 0); err != nil {
		return os.NewSyscallError("sendmsg", err)
	}
	unix.CloseOnExec(inherited)
	return os.NewSyscallError("execve", unix.Exec(path, command, os.Environ()))
}

// filter has the kernel ask about the calls of this thread, and what it executes, at the
// descriptor that is returned.
func filter() (int, error) {
	const number, archOf = 0, 4 // where they are in struct seccomp_data
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: archOf},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: arch, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
	}
	for i, nr := range asked {
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jt: uint8(len(asked) - i)})
	}
	program = append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, os.NewSyscallError("prctl", err)
	}
	f := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&f)))
	if errno != 0 {
		return 0, os.NewSyscallError("seccomp", errno)
	}
	return int(fd), nil
}

// watch answers the kernel until the process has ended.
func (d *Disk) watch(from int) {
	calls, err := received(from)
	unix.Close(from)
	if err != nil {
		return // it has ended before, and says why itself
	}
	var open sync.WaitGroup
	defer func() {
		open.Wait()
		unix.Close(calls)
	}()
	for {
		ready := []unix.PollFd{{Fd: int32(calls), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		switch {
		case ready[0].Revents&unix.POLLIN != 0:
		case ready[0].Revents != 0:
			return
		default:
			continue
		}
		c := new(call)
		if ioctl(calls, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(c)) != 0 {
			continue // the one that asked is gone
		}
		open.Go(func() {
			v := d.judge(c)
			_ = ioctl(calls, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&v)) // in vain if it was killed
		})
	}
}

// judge takes the time that a call takes.
func (d *Disk) judge(c *call) verdict {
	f := d.faults()
	if f.Delay > 0 && (c.nr == unix.SYS_FSYNC || c.nr == unix.SYS_FDATASYNC) {
		t := time.NewTimer(f.Delay)
		<-t.C
	}
	if f.Full {
		return verdict{id: c.id, err: -int32(unix.ENOSPC)}
	}
	return verdict{id: c.id, flags: flagContinue}
}

// received is the descriptor that comes over a socket.
func received(from int) (int, error) {
	text, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, of, _, _, err := unix.Recvmsg(from, text, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, os.NewSyscallError("recvmsg", err)
	}
	if n == 0 {
		return 0, os.ErrProcessDone
	}
	all, err := unix.ParseSocketControlMessage(rights[:of])
	if err != nil || len(all) != 1 {
		return 0, fmt.Errorf("diskfault: %d descriptors: %w", len(all), err)
	}
	fds, err := unix.ParseUnixRights(&all[0])
	if err != nil {
		return 0, os.NewSyscallError("recvmsg", err)
	}
	return fds[0], nil
}

func ioctl(fd int, what uint, arg unsafe.Pointer) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(what), uintptr(arg))
	return errno
}
