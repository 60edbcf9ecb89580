package testnet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build builds the parley binary into dir, for tests, and returns its path. The
// environment variable PARLEY_BINARY names one to use instead.
//
// The test's result is cached by the go command only as long as the sources of the
// binary stay as they are.
func Build(ctx context.Context, dir string, flags ...string) (string, error) {
	if b := os.Getenv("PARLEY_BINARY"); b != "" {
		_, err := os.Stat(b)
		return b, err
	}
	bin := filepath.Join(dir, "parley")
	args := append(append([]string{"build"}, flags...), "-o", bin, binaryPackage)
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building parley: %w\n%s", err, out)
	}
	return bin, dependOnSources(ctx)
}

const binaryPackage = "parley/cmd/parley"

// sourcesOf prints the files of a package that are ours.
const sourcesOf = `{{if not .Standard}}{{if .Module}}{{if .Module.Main}}{{$d := .Dir}}` +
	`{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}{{end}}`

// dependOnSources looks at every file that the binary is made of: the go command
// notes which files a test looks at, and runs it again when one has changed.
func dependOnSources(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-deps", "-f", sourcesOf, binaryPackage).Output()
	if err != nil {
		return fmt.Errorf("listing the sources of parley: %w", err)
	}
	for file := range strings.Lines(string(out)) {
		if file = strings.TrimSpace(file); file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return err
		}
	}
	return nil
}
