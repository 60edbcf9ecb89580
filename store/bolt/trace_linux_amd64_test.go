package bolt

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// A tracer runs a test function in a process of its own and sees, in their order, the
// system calls by which it changes the database, and what it says: so that power loss
// can be tried at every step, and any call be made to fail. What bbolt does with its
// file cannot be seen from inside: it takes an *os.File.
//
// The traced process says "db FD", "made" when it has opened it, "ack N", and "fail CALL NTH ERRNO" (the nth such call
// on the database from now on) by writing to the file of that name below.

const (
	envTraced = "PARLEY_TRACED"
	sayFD     = 3

	traceTimeout = time.Minute // of one traced process; it takes a second

	// of <linux/ptrace.h>
	exitKill       = 0x100000
	getSyscallInfo = 0x420e
	infoEntry      = 1
)

var errUntraceable = errors.New("processes cannot be traced here")

func untraceable(err error) error { return fmt.Errorf("%w (ptrace: %w)", errUntraceable, err) }

// event is one step of the traced process.
type event struct {
	kind string // made, write, sync, truncate, ack
	at   int64  // offset; size; number
	data []byte
}

// fault is a call that shall fail.
type plannedFault struct {
	call  uint64
	nth   int
	errno syscall.Errno
}

type tracer struct {
	pid    int
	db     uint64
	regs   map[int]syscall.PtraceRegs // at the entry of calls that count
	faults []plannedFault
	spoilt map[int]syscall.Errno
	events []event
}

// trace runs the test function of that name, which must look for envTraced.
func trace(t *testing.T, name, argument string) []event {
	t.Helper()
	runtime.LockOSThread() // a tracer is a thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), envTraced+"="+argument, "GODEBUG=asyncpreemptoff=1")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	log, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{null}
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Skipf("processes cannot be traced here (ptrace: %v)", err)
	}
	tr := &tracer{pid: cmd.Process.Pid, db: 1 << 32, regs: map[int]syscall.PtraceRegs{}, spoilt: map[int]syscall.Errno{}}
	watchdog := time.AfterFunc(traceTimeout, tr.kill)
	status, err := tr.run()
	watchdog.Stop()
	text, _ := os.ReadFile(log.Name())
	switch {
	case errors.Is(err, errUntraceable):
		t.Skip(err)
	case err != nil || status != 0:
		t.Fatalf("traced process: status %d, %v\n%s", status, err, text)
	}
	if testing.Verbose() {
		t.Logf("%s", text)
	}
	return tr.events
}

// kill ends the traced process with all its threads.
func (tr *tracer) kill() { _ = syscall.Kill(-tr.pid, syscall.SIGKILL) }

// run goes on until the process has ended.
func (tr *tracer) run() (status int, err error) {
	var ws syscall.WaitStatus
	defer func() {
		if err != nil { // leaves nothing behind
			tr.kill()
			for err := error(nil); err == nil || err == syscall.EINTR; {
				_, err = syscall.Wait4(-tr.pid, &ws, syscall.WALL, nil)
			}
		}
	}()
	if _, err := syscall.Wait4(tr.pid, &ws, syscall.WALL, nil); err != nil {
		return 0, untraceable(err)
	}
	if err := syscall.PtraceSetOptions(tr.pid, syscall.PTRACE_O_TRACECLONE|syscall.PTRACE_O_TRACESYSGOOD|exitKill); err != nil {
		return 0, untraceable(err)
	}
	pid, signal := tr.pid, 0
	for {
		if err := syscall.PtraceSyscall(pid, signal); err != nil && err != syscall.ESRCH {
			return 0, err
		}
		for {
			if pid, err = syscall.Wait4(-tr.pid, &ws, syscall.WALL, nil); err != nil && err != syscall.EINTR {
				return 0, err
			}
			if err == nil && !ws.Exited() && !ws.Signaled() {
				break
			}
			if pid == tr.pid {
				return ws.ExitStatus(), nil
			}
		}
		signal = 0
		switch stop := ws.StopSignal(); {
		case stop == syscall.SIGTRAP|0x80:
			if err := tr.step(pid); err != nil && err != syscall.ESRCH {
				return 0, err
			}
		case stop == syscall.SIGTRAP, stop == syscall.SIGSTOP: // of new threads
		default:
			signal = int(stop)
		}
	}
}

// step sees a thread enter or leave a call.
func (tr *tracer) step(pid int) error {
	enters, err := entersCall(pid)
	if err != nil {
		return err
	}
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(pid, &r); err != nil {
		return err
	}
	if enters {
		return tr.enter(pid, r)
	}
	if errno, ok := tr.spoilt[pid]; ok {
		delete(tr.spoilt, pid)
		r.Rax = uint64(-int64(errno))
		return syscall.PtraceSetRegs(pid, &r)
	}
	if entry, ok := tr.regs[pid]; ok {
		delete(tr.regs, pid)
		return tr.leave(pid, entry, int64(r.Rax))
	}
	return nil
}

// entersCall asks the kernel (Linux 5.3) whether a thread has stopped before a call or
// after it.
func entersCall(pid int) (bool, error) {
	var info [88]byte // struct ptrace_syscall_info, of which the first byte is the kind
	_, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, getSyscallInfo, uintptr(pid), uintptr(len(info)), uintptr(unsafe.Pointer(&info)), 0, 0)
	switch {
	case e == syscall.ESRCH:
		return false, e
	case e != 0:
		return false, untraceable(e)
	}
	return info[0] == infoEntry, nil
}

func (tr *tracer) enter(pid int, r syscall.PtraceRegs) error {
	if r.Orig_rax == syscall.SYS_WRITE && r.Rdi == sayFD {
		said, err := tr.memory(pid, r.Rsi, r.Rdx)
		if err != nil {
			return err
		}
		return tr.hear(string(said))
	}
	fd := r.Rdi
	if r.Orig_rax == syscall.SYS_MMAP {
		fd = r.R8
	}
	calls := []uint64{syscall.SYS_PWRITE64, syscall.SYS_FDATASYNC, syscall.SYS_FSYNC, syscall.SYS_FTRUNCATE, syscall.SYS_MMAP}
	if fd != tr.db || !slices.Contains(calls, r.Orig_rax) {
		return nil
	}
	for i := range tr.faults {
		f := &tr.faults[i]
		if f.call != r.Orig_rax || f.nth == 0 {
			continue
		}
		if f.nth--; f.nth == 0 {
			tr.spoilt[pid] = f.errno
			r.Orig_rax = ^uint64(0)
			return syscall.PtraceSetRegs(pid, &r)
		}
	}
	tr.regs[pid] = r
	return nil
}

// leave notes a call that has succeeded.
func (tr *tracer) leave(pid int, r syscall.PtraceRegs, result int64) error {
	if result < 0 {
		return nil
	}
	switch r.Orig_rax {
	case syscall.SYS_PWRITE64:
		b, err := tr.memory(pid, r.Rsi, uint64(result))
		if err != nil {
			return err
		}
		tr.events = append(tr.events, event{"write", int64(r.R10), b})
	case syscall.SYS_FDATASYNC, syscall.SYS_FSYNC:
		tr.events = append(tr.events, event{kind: "sync"})
	case syscall.SYS_FTRUNCATE:
		tr.events = append(tr.events, event{kind: "truncate", at: int64(r.Rsi)})
	}
	return nil
}

func (tr *tracer) hear(said string) error {
	var n, nth, errno uint64
	switch word, _, _ := strings.Cut(said, " "); word {
	case "db":
		_, err := fmt.Sscanf(said, "db %d", &tr.db)
		return err
	case "made":
		tr.events = append(tr.events, event{kind: "made"})
		return nil
	case "ack":
		_, err := fmt.Sscanf(said, "ack %d", &n)
		tr.events = append(tr.events, event{kind: "ack", at: int64(n)})
		return err
	case "fail":
		_, err := fmt.Sscanf(said, "fail %d %d %d", &n, &nth, &errno)
		tr.faults = append(tr.faults, plannedFault{n, int(nth), syscall.Errno(errno)})
		return err
	}
	return fmt.Errorf("heard %q", said)
}

func (tr *tracer) memory(pid int, at, n uint64) ([]byte, error) {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	b := make([]byte, n)
	_, err = mem.ReadAt(b, int64(at))
	return b, err
}

// say tells the tracer something.
func say(format string, args ...any) {
	if _, err := syscall.Write(sayFD, fmt.Appendf(nil, format, args...)); err != nil {
		panic(err)
	}
}
