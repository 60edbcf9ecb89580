package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"parley/cmd/parley/config"
)

// flagOf is a flag that goes before a key of the settings.
type flagOf struct{ flag, key, usage, completes string }

// The flags of every command that needs a data directory.
var dataFlags = []flagOf{
	{"data", "node.data", "data `directory` (default ./" + config.DefaultData + ")", "dir"},
}

// The further flags of serve.
var serveFlags = []flagOf{
	{"name", "node.name", "node `name`, fixed at the first start (default " + config.DefaultName + ")", ""},
	{"http", "http.listen", "`address:port` for clients (default " + config.DefaultListen + ")", ""},
	{"web", "http.web", "`directory` of a web client to serve (default: a small page)", "dir"},
	{"admin", "admin.listen", "loopback `address:port` for operators and metrics (default " + config.DefaultAdmin + ")", ""},
	{"s2s", "s2s.listen", "UDP `address:port` for other nodes (default :7788; none for localhost), or off", ""},
	{"registration", "accounts.registration", "`who` may make an account: open or closed (default open, on loopback only)", "open closed"},
	{"log-level", "log.level", "`level` of the log: debug, info, warn, error (default info)", "debug info warn error"},
}

// addSettings gives a command the flags --config and those listed.
func addSettings(cmd *cobra.Command, lists ...[]flagOf) {
	cmd.Flags().String("config", "", "settings `file` (default "+config.FileName+" in the data directory, if there)")
	cmd.Flags().SortFlags = false
	for _, list := range lists {
		for _, f := range list {
			cmd.Flags().String(f.flag, "", f.usage)
			complete(cmd, f)
		}
	}
	must(cmd.MarkFlagFilename("config", "toml"))
}

func complete(cmd *cobra.Command, f flagOf) {
	switch f.completes {
	case "":
		must(cmd.RegisterFlagCompletionFunc(f.flag, cobra.NoFileCompletions))
	case "dir":
		must(cmd.MarkFlagDirname(f.flag))
	default:
		words := fields(f.completes)
		must(cmd.RegisterFlagCompletionFunc(f.flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
	}
}

// settingsOf reads the file that the flags of cmd choose, if any, and puts the
// flags before it. The settings have been checked.
func settingsOf(cmd *cobra.Command) (*config.Settings, error) {
	s, err := readSettings(cmd)
	if err != nil {
		return nil, err
	}
	for _, f := range slices.Concat(dataFlags, serveFlags) {
		if flag := cmd.Flags().Lookup(f.flag); flag == nil || !flag.Changed {
			continue
		} else if err := s.Override(f.key, "--"+f.flag, flag.Value.String()); err != nil {
			return nil, err
		}
	}
	return s, s.Check()
}

func readSettings(cmd *cobra.Command) (*config.Settings, error) {
	if file := stringFlag(cmd, "config"); file != "" {
		s, err := config.Load(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &config.Problem{Flag: "--config", Text: file + " does not exist"}
		}
		return s, err
	}
	dir := stringFlag(cmd, "data")
	if dir == "" {
		dir = config.DefaultData
	}
	s, err := config.Load(filepath.Join(dir, config.FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return config.New(), nil
	}
	return s, dataDir(dir).explain(err)
}

func stringFlag(cmd *cobra.Command, name string) string {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}
