package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxPassword bounds what is read for a password, in bytes.
const maxPassword = 1 << 10

func addPasswordFlags(cmd *cobra.Command) {
	cmd.Flags().Bool("password-stdin", false, "read the password from standard input, its first line")
	cmd.Flags().Bool("generate", false, "make a random password and print it")
	cmd.MarkFlagsMutuallyExclusive("password-stdin", "generate")
}

// newPassword gets one in the way that the flags say; by default it asks twice.
func newPassword(cmd *cobra.Command, login string) (string, error) {
	switch {
	case boolFlag(cmd, "generate"):
		return generate(), nil
	case boolFlag(cmd, "password-stdin"):
		return firstLine(cmd.InOrStdin())
	}
	tty, ok := terminal(cmd.InOrStdin())
	if !ok {
		return "", errors.New("there is no terminal to ask for a password; use --password-stdin or --generate")
	}
	first, err := ask(cmd, tty, fmt.Sprintf("New password for %s: ", clean(login)))
	if err != nil {
		return "", err
	}
	again, err := ask(cmd, tty, "Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return first, nil
}

// tellPassword prints a password that was made here, once it holds.
func tellPassword(cmd *cobra.Command, password string) {
	if boolFlag(cmd, "generate") {
		fmt.Fprintln(cmd.OutOrStdout(), "password", password)
	}
}

// generate makes a password of 100 random bits that can be read out.
func generate() string {
	s := strings.ToLower(rand.Text()[:20])
	return s[:5] + "-" + s[5:10] + "-" + s[10:15] + "-" + s[15:]
}

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("standard input holds no password")
	}
	return line, nil
}

func terminal(r io.Reader) (*os.File, bool) {
	f, ok := r.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// ask reads a line without showing it. The terminal is in raw mode meanwhile, so
// that Ctrl-C is read too and does not leave it without echo.
func ask(cmd *cobra.Command, tty *os.File, prompt string) (line string, err error) {
	before, err := term.MakeRaw(int(tty.Fd()))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, term.Restore(int(tty.Fd()), before)) }()
	both := struct {
		io.Reader
		io.Writer
	}{tty, cmd.ErrOrStderr()}
	line, err = term.NewTerminal(both, "").ReadPassword(prompt)
	if errors.Is(err, io.EOF) { // Ctrl-C, Ctrl-D
		fmt.Fprint(cmd.ErrOrStderr(), "\r\n")
		return "", errors.New("nothing was changed")
	}
	return line, err
}

// confirm returns nil if the answer is yes.
func confirm(cmd *cobra.Command, question string) error {
	if _, ok := terminal(cmd.InOrStdin()); !ok {
		return errors.New("there is no terminal to ask whether this is meant; say it with --yes")
	}
	fmt.Fprint(cmd.ErrOrStderr(), question, " [y/N] ")
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed")
}
