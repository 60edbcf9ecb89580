package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"parley/cmd/parley/archive"
	"parley/cmd/parley/config"
	"parley/federation"
	"parley/store/bolt"
)

func newRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE.tar --data DIR",
		Short: "Make a data directory from a backup",
		Long: `Make a data directory from a backup. The directory must hold no database. If the key
is not in the backup, put node.key into the directory; if there is no copy of it, make
a new one with "parley key --create", and tell the operators of other nodes.

A restored node knows that it was set back, and other nodes will notice. Everybody
has to sign in again.`,
		Example: "  parley restore /backup/parley-2026-11-01.tar --data /var/lib/parley\n  parley restore --check /backup/parley-2026-11-01.tar",
		Args:    cobra.ExactArgs(1),
		RunE:    runRestore,
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().String("data", config.DefaultData, "`directory` to make")
	cmd.Flags().Bool("check", false, "only tell whether the backup is whole")
	must(cmd.MarkFlagDirname("data"))
	return cmd
}

func runRestore(cmd *cobra.Command, args []string) error {
	out := cmd.OutOrStdout()
	if boolFlag(cmd, "check") {
		m, err := archive.Extract(args[0], "")
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s is whole: node %s on %s, %d entries, %s\n", args[0], m.Node, when(m.Made), m.Entries, bytesOf(m.Bytes))
		return nil
	}
	data := dataDir(stringFlag(cmd, "data"))
	for _, path := range []string{data.db(), data.files()} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already, and nothing was changed; choose another directory with --data", path)
		}
	}
	if _, err := os.Stat(args[0]); err != nil {
		return err
	}
	if _, err := data.create(); err != nil {
		return err
	}
	m, err := restore(args[0], data)
	if err != nil {
		return err
	}
	key, err := data.restoredKey()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "restored node %s as of %s\n%s\nNext: parley serve --data %s\n", m.Node, when(m.Made), key, quoteArg(string(data)))
	return nil
}

// restore unpacks beside the place, and moves what is good there; the database
// comes last, so that it is there only when all else is.
func restore(file string, data dataDir) (archive.Manifest, error) {
	temp, err := os.MkdirTemp(string(data), "restore.*.tmp")
	if err != nil {
		return archive.Manifest{}, err
	}
	defer os.RemoveAll(temp)
	m, err := archive.Extract(file, temp)
	if err != nil {
		return m, err
	}
	from := dataDir(temp)
	restored := from.path("restored.db")
	if err := bolt.Restore(from.db(), restored); err != nil {
		return m, fmt.Errorf("%s: %w", file, err)
	}
	if err := moveIfFree(from.path(archive.Settings), data.path(archive.Settings)); err != nil {
		return m, err
	}
	if err := moveIfFree(from.key(), data.key()); err != nil {
		return m, err
	}
	if err := moveIfFree(from.files(), data.files()); err != nil {
		return m, err
	}
	if err := settleTree(data.files()); err != nil {
		return m, err
	}
	if err := os.Rename(restored, data.db()); err != nil {
		return m, err
	}
	return m, syncDir(string(data))
}

// settleTree makes sure that the names in a directory, if it is there, and in those
// below are there after a power failure.
func settleTree(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncDir(path)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// moveIfFree keeps what is there, and passes over what the backup has not.
func moveIfFree(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return nil
	}
	if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// restoredKey tells which key the node has now.
func (d dataDir) restoredKey() (string, error) {
	key, err := federation.LoadKey(d.key())
	if err == nil {
		return "key " + key.Pin(), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return fmt.Sprintf("The key was not in the backup: put node.key into %s, or make a new one with: parley key --create --data %s",
		d, quoteArg(string(d))), nil
}
