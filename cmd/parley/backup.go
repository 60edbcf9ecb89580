package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"parley/cmd/parley/archive"
)

func newBackup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE.tar",
		Short: "Copy everything into one file, also while the node runs",
		Long: `Copy everything into one file: accounts, messages, attachments and settings, at one
consistent moment, also while the node runs. The file is a tar archive; it holds
what users wrote, so keep it as safe as the data directory.

The node's key is only in it with --with-key: whoever has the key is the node.
Without, keep a copy of node.key elsewhere.`,
		Example: "  parley backup /backup/parley-$(date +%F).tar\n  parley backup all.tar --with-key --data /var/lib/parley",
		Args:    cobra.ExactArgs(1),
		RunE:    withOperator(runBackup),
	}
	cmd.Flags().Bool("with-key", false, "put the node's key into the file")
	addSettings(cmd, dataFlags)
	return cmd
}

func runBackup(cmd *cobra.Command, o *operator, args []string) error {
	s, err := settingsOf(cmd)
	if err != nil {
		return err
	}
	data := dataDir(s.Node.Data)
	w, err := archive.Create(args[0])
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; choose another name, or remove it", args[0])
	} else if err != nil {
		return err
	}
	defer w.Abort()
	p := newProgress(cmd.ErrOrStderr())
	w.Progress = p.add
	now := time.Now().UTC().Truncate(time.Second)
	if err := fillBackup(cmd, o, w, data, now); err != nil {
		return err
	}
	m, err := w.Finish(archive.Manifest{Node: o.node, Made: now, By: buildVersion()})
	if err != nil {
		return err
	}
	p.done()
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s of node %s\n", args[0], bytesOf(m.Bytes), m.Node)
	if own := data.path(archive.Settings); s.File != "" && filepath.Clean(s.File) != filepath.Clean(own) {
		fmt.Fprintf(cmd.OutOrStdout(), "The settings are not in it, since they are not in the data directory: keep a copy of %s as well.\n", s.File)
	}
	if !boolFlag(cmd, "with-key") {
		fmt.Fprintf(cmd.OutOrStdout(), "The key is not in it: keep a copy of %s as well.\n", data.key())
	}
	return nil
}

// fillBackup writes the database first, so that whatever it speaks of is among the
// files that follow.
func fillBackup(cmd *cobra.Command, o *operator, w *archive.Writer, data dataDir, now time.Time) error {
	err := w.Add(archive.Database, now, func(to io.Writer) error {
		body, err := o.Send(cmd.Context(), http.MethodGet, "/admin/backup", nil)
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = io.Copy(to, body)
		return err
	})
	if err != nil {
		return err
	}
	if err := w.AddFile(archive.Settings, data.path(archive.Settings)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if boolFlag(cmd, "with-key") {
		if err := w.AddFile(archive.Key, data.key()); err != nil {
			return err
		}
	}
	return w.AddTree(archive.Files, data.files())
}

// progress shows on a terminal how many bytes have gone by.
type progress struct {
	w     io.Writer // nil: not a terminal
	bytes int64
	shown time.Time
}

// progressPeriod is how often progress is shown.
const progressPeriod = 200 * time.Millisecond

func newProgress(w io.Writer) *progress {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &progress{w: w}
	}
	return &progress{}
}

func (p *progress) add(n int) {
	p.bytes += int64(n)
	if p.w != nil && time.Since(p.shown) > progressPeriod {
		p.shown = time.Now()
		fmt.Fprintf(p.w, "\r%s\x1b[K", bytesOf(p.bytes))
	}
}

// done takes the line away.
func (p *progress) done() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
