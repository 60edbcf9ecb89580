package federation

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"parley/protocol"
	"parley/protocol/s2s"
	"parley/store"
)

// The files of an identity beside KeyFile.
const (
	nextFile       = "node.key.next"
	statementsFile = "node.statements" // one in a line, CBOR in base64url
)

// ErrNoNext is returned where a key should be changed and the next has not been made.
var ErrNoNext = errors.New("federation: the next key has not been made")

// Identity is a node's key, the next one if a change has been prepared, and what its keys
// have stated about each other. It is not for use at once.
type Identity struct {
	Key        *Key
	Next       *Key // nil: none
	statements []*s2s.Statement
	dir        string
}

// LoadIdentity reads the keys in a directory. Its errors are those of LoadKey.
func LoadIdentity(dir string) (*Identity, error) {
	r := &Identity{dir: dir}
	var err error
	if r.Key, err = LoadKey(filepath.Join(dir, KeyFile)); err != nil {
		return nil, err
	}
	if r.Next, err = LoadKey(filepath.Join(dir, nextFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, statementsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the statements: %w", err)
	}
	for line := range strings.FieldsSeq(string(text)) {
		raw, err := base64.RawURLEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", statementsFile, err)
		}
		s, err := s2s.ParseStatement(raw)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", statementsFile, err)
		}
		r.statements = append(r.statements, s)
	}
	return r, nil
}

// Public are the keys to publish: the present one, and the next.
func (r *Identity) Public() []ed25519.PublicKey {
	all := []ed25519.PublicKey{r.Key.Public()}
	if r.Next != nil {
		all = append(all, r.Next.Public())
	}
	return all
}

// Reload takes up a next key that was made, or thrown away, since. A key that has been
// changed is not taken up: the node goes on with its own until it is started again.
func (r *Identity) Reload() error {
	now, err := LoadIdentity(r.dir)
	if err == nil && bytes.Equal(now.Key.Public(), r.Key.Public()) {
		*r = *now
	}
	return err
}

// Prepare makes the next key, if there is none. It keeps what was derived from the present
// one (Key.Secret) unless that is in wrong hands.
func (r *Identity) Prepare(compromised bool) error {
	if r.Next != nil {
		return nil
	}
	root := r.Key.secrets()
	if compromised {
		root = nil
	}
	next, err := createKey(filepath.Join(r.dir, nextFile), root)
	if err == nil {
		r.Next = next
	}
	return err
}

// Cancel throws the next key away.
func (r *Identity) Cancel() error {
	if r.Next == nil {
		return ErrNoNext
	}
	r.Next = nil
	return errors.Join(os.Remove(filepath.Join(r.dir, nextFile)), syncDir(r.dir))
}

// Change puts the next key in the place of the present one, which states that, and keeps
// the old one in the file that it returns. With revoke, the old one states that it is in
// wrong hands. A crash on the way leaves the old key or the new one, and Change can be
// called again.
func (r *Identity) Change(name protocol.Node, revoke bool, now time.Time) (old string, err error) {
	if r.Next == nil {
		return "", ErrNoNext
	}
	if err := r.stateChange(name, revoke, now); err != nil {
		return "", err
	}
	present := filepath.Join(r.dir, KeyFile)
	old = fmt.Sprintf("%s.%x.old", present, r.Key.Public()[:4]) // the same if this is done again
	if err := os.Link(present, old); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keep the old key: %w", err)
	}
	if err := os.Rename(filepath.Join(r.dir, nextFile), present); err != nil {
		return "", fmt.Errorf("change the key: %w", err)
	}
	r.Key, r.Next = r.Next, nil
	return old, syncDir(r.dir)
}

// stateChange writes down what the present key has to say.
func (r *Identity) stateChange(name protocol.Node, revoke bool, now time.Time) error {
	next, seq, said := r.Next.Public(), uint64(0), false
	for _, s := range r.statements {
		var v Succession
		if s.Read(KindSuccession, &v) == nil {
			seq = max(seq, v.Seq)
			said = said || bytes.Equal(s.Key, r.Key.Public()) && bytes.Equal(v.Next, next)
		}
	}
	if !said {
		s, err := r.Key.succeed(name, next, seq+1, now)
		if err != nil {
			return err
		}
		r.statements = append(r.statements, s)
	}
	if revoke {
		s, err := r.Key.revoke(name, now)
		if err != nil {
			return err
		}
		r.statements = append(r.statements, s)
	}
	return r.write()
}

// write replaces the file of statements, whole.
func (r *Identity) write() error {
	var text strings.Builder
	for _, s := range r.statements {
		raw, err := s.Encode()
		if err != nil {
			return err
		}
		text.WriteString(base64.RawURLEncoding.EncodeToString(raw) + "\n")
	}
	path := filepath.Join(r.dir, statementsFile)
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write the statements: %w", err)
	}
	if err := writeNew(path+".new", []byte(text.String())); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the statements: %w", err)
	}
	return syncDir(r.dir)
}

// Succession is the statement that the present key follows another, or nil. A peer gets
// it in Hello.
func (r *Identity) Succession() *s2s.Statement {
	for i := len(r.statements) - 1; i >= 0; i-- {
		var v Succession
		if s := r.statements[i]; s.Read(KindSuccession, &v) == nil && bytes.Equal(v.Next, r.Key.Public()) {
			return s
		}
	}
	return nil
}

// Chain are the statements by which the present key follows the first, from the last one
// back.
func (r *Identity) Chain() []*s2s.Statement {
	var all []*s2s.Statement
	at := r.Key.Public()
	for i := len(r.statements) - 1; i >= 0; i-- {
		var v Succession
		if s := r.statements[i]; s.Read(KindSuccession, &v) == nil && bytes.Equal(v.Next, at) {
			all = append(all, s)
			at = s.Key
		}
	}
	return all
}

// Leads reports whether the present key is the one given, or follows it.
func (r *Identity) Leads(from ed25519.PublicKey) bool {
	if bytes.Equal(from, r.Key.Public()) {
		return true
	}
	for _, s := range r.Chain() {
		if bytes.Equal(s.Key, from) {
			return true
		}
	}
	return false
}

// Past are the earlier keys, and when each was in use, the last one first.
func (r *Identity) Past() []store.PeerKey {
	var all []store.PeerKey
	since := time.Time{}
	for _, s := range r.statements {
		var v Succession
		if s.Read(KindSuccession, &v) == nil {
			until := time.UnixMilli(v.From).UTC()
			all = slices.Insert(all, 0, store.PeerKey{Key: s.Key, Since: since, Until: until})
			since = until
		}
	}
	return all
}

// Statements are what the node's keys have to say, the last of it, with the history of
// them as of now.
func (r *Identity) Statements(name protocol.Node, now time.Time) ([]*s2s.Statement, error) {
	h := &History{Name: name, Until: now.Add(historyLife).UnixMilli()}
	revoked := map[string]bool{}
	for _, s := range r.statements {
		if s.Read(KindRevocation, new(Revocation)) == nil {
			revoked[string(s.Key)] = true
		}
	}
	since := int64(0)
	for _, s := range r.statements {
		var v Succession
		if s.Read(KindSuccession, &v) != nil {
			continue
		}
		h.Keys = append(h.Keys, HistoryKey{Key: s.Key, Since: since, Until: v.From, Revoked: revoked[string(s.Key)]})
		since = v.From
	}
	h.Keys = append(h.Keys, HistoryKey{Key: r.Key.Public(), Since: since})
	h.Keys = h.Keys[max(0, len(h.Keys)-maxKeys):]
	last, err := r.Key.State(KindHistory, h)
	if err != nil {
		return nil, err
	}
	said := r.statements[max(0, len(r.statements)-MaxStatements+1):]
	return append(said[:len(said):len(said)], last), nil
}
