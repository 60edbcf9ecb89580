//go:build linux && (amd64 || arm64)

package diskfault

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const envStage = "PARLEY_DISK_STAGE"

// TestMain is the process on the disk, too: put there first, then executed.
func TestMain(m *testing.M) {
	switch os.Getenv(envStage) {
	case "":
		os.Exit(m.Run())
	case "exec":
		os.Setenv(envStage, "write")
		fmt.Println("not executed:", Exec(os.Args))
		os.Exit(1)
	case "write":
		if err := write(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

// write writes to a file, and makes it durable, for each line that comes, and prints how that went.
func write() error {
	f, err := os.Create(os.Getenv("PARLEY_DISK_FILE"))
	if err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		_, err := f.WriteAt([]byte(in.Text()), 0)
		err = errors.Join(err, f.Sync())
		fmt.Println("done", errors.Is(err, unix.ENOSPC), err == nil)
	}
	return f.Close()
}

func TestFaults(t *testing.T) {
	var d Disk
	file, err := d.Attach()
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/file"
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envStage+"=exec", "PARLEY_DISK_FILE="+path)
	cmd.ExtraFiles = []*os.File{file}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cmd.Start(), file.Close()); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	try := func(text, want string) {
		t.Helper()
		if _, err := io.WriteString(in, text+"\n"); err != nil {
			t.Fatal(err)
		}
		if !said.Scan() {
			t.Fatalf("it says nothing: %v", said.Err())
		}
		if s := said.Text(); strings.Contains(s, ErrUnsupported.Error()) {
			t.Skip(s)
		} else if s != want {
			t.Errorf("%s: %s, want %s", text, s, want)
		}
	}
	try("one", "done false true")
	d.Set(Faults{Full: true})
	try("two", "done true false")
	if got, err := os.ReadFile(path); string(got) != "one" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	const delay = 50 * time.Millisecond
	d.Set(Faults{Delay: delay})
	start := time.Now()
	try("three", "done false true")
	if took := time.Since(start); took < delay {
		t.Errorf("it took %v", took)
	}
	d.Set(Faults{})
	try("four!", "done false true")
	if got, err := os.ReadFile(path); string(got) != "four!" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
	d.Wait()
}
