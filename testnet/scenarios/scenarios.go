// Package scenarios are the experiments that come with the program. Each is a file with a
// page of explanation in its comments.
package scenarios

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"parley/testnet/scenario"
)

//go:embed *.toml
var files embed.FS

// Names are those of all, sorted.
func Names() []string {
	all, err := fs.Glob(files, "*.toml")
	if err != nil {
		panic(err) // the pattern is good
	}
	for i, name := range all {
		all[i] = strings.TrimSuffix(path.Base(name), ".toml")
	}
	return all
}

// Text is the file of a scenario; fs.ErrNotExist if there is none of that name.
func Text(name string) ([]byte, error) {
	text, err := files.ReadFile(name + ".toml")
	if err != nil {
		return nil, fmt.Errorf("scenario %q: %w", name, err)
	}
	return text, nil
}

// Plan makes a plan of a scenario.
func Plan(name string, changes ...scenario.Change) (*scenario.Plan, error) {
	text, err := Text(name)
	if err != nil {
		return nil, err
	}
	return scenario.Parse(name+".toml", text, changes...)
}
