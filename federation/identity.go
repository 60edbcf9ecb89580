// Package federation is what nodes are to one another. So far: the key by which
// a node proves who it is.
package federation

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// KeyFile is the name of the file that holds a node's key, in its data directory.
const KeyFile = "node.key"

// Faults of a key file. Errors that wrap them name the file and say what to do.
var (
	ErrKeyExists = errors.New("federation: there is a key already")
	ErrKeyOpen   = errors.New("federation: others can read the key")
	ErrKeyFormat = errors.New("federation: not an Ed25519 key in PKCS #8 PEM form")
)

const (
	pemType   = "PRIVATE KEY"
	rootType  = "PARLEY SECRET" // kept when the key is changed: see Key.root
	pinPrefix = "ed25519:"
	keyMode   = 0o600
)

// Key is the one secret by which a node proves who it is (spec/naming.md).
type Key struct {
	private ed25519.PrivateKey
	root    []byte // what Secret derives from, of an earlier key; nil: this key's seed
}

// CreateKey makes a key and keeps it in a new file: PKCS #8 (RFC 8410) in PEM,
// readable by the owner only. A file that is there is not touched: ErrKeyExists.
// When it returns nil, the key is on the disk for good.
func CreateKey(path string) (*Key, error) { return createKey(path, nil) }

// KeyFromSeed makes a key of bytes that must be as good as random, and keeps it nowhere:
// for nodes of experiments, which are the same each time.
func KeyFromSeed(seed [ed25519.SeedSize]byte) *Key {
	return &Key{private: ed25519.NewKeyFromSeed(seed[:])}
}

// createKey makes a key whose secrets are those of the root, if that is not nil.
func createKey(path string, root []byte) (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
	if root != nil {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: rootType, Bytes: root})...)
	}
	if err := writeNew(path, text); err != nil {
		return nil, err
	}
	return &Key{private, root}, nil
}

// writeNew makes the file whole and lasting, or not at all: the bytes go to a
// file beside it, which then gets the name unless that is taken.
func writeNew(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrKeyExists, path)
	} else if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// LoadKey reads a key file. Its error wraps fs.ErrNotExist if there is none,
// ErrKeyOpen if others than the owner may read it, ErrKeyFormat if it is no key.
func LoadKey(path string) (*Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	if open := info.Mode().Perm() &^ 0o700; open != 0 {
		return nil, fmt.Errorf("%w: %s has mode %04o; run: chmod %o %s",
			ErrKeyOpen, path, info.Mode().Perm(), keyMode, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	key, err := parseKey(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, path)
	}
	return key, nil
}

func parseKey(content []byte) (*Key, error) {
	block, rest := pem.Decode(content)
	if block == nil || block.Type != pemType {
		return nil, ErrKeyFormat
	}
	var root []byte
	if more, end := pem.Decode(rest); more != nil && more.Type == rootType && len(more.Bytes) == SecretSize {
		root, rest = more.Bytes, end
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return nil, ErrKeyFormat
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, ErrKeyFormat // the cause might quote the secret
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, ErrKeyFormat
	}
	return &Key{private, root}, nil
}

// Public is the half that others may know.
func (k *Key) Public() ed25519.PublicKey {
	return k.private.Public().(ed25519.PublicKey)
}

// Signer signs with the key: whole messages, not hashes (Ed25519, RFC 8032). Whoever uses
// it puts a text of its own in front of what it signs, so that nothing can be taken for
// something else; TLS and X.509 do.
func (k *Key) Signer() crypto.Signer { return k.private }

// Private is the key itself, for what signs by itself with a domain of its own
// ([reputation.Statement.Sign]).
func (k *Key) Private() ed25519.PrivateKey { return k.private }

// Pin names the key to people: see [Pin].
func (k *Key) Pin() string { return Pin(k.Public()) }

// SecretSize is the length in bytes of what [Key.Secret] returns.
const SecretSize = 32

// Secret derives a secret from the key (HKDF-SHA-256, RFC 5869) that is as good
// as random to whoever does not have the key. Each label gives another one; a
// label must never be used for two purposes. A key that follows another has the same.
func (k *Key) Secret(label string) []byte {
	s, err := hkdf.Key(sha256.New, k.secrets(), nil, "parley secret v1\x00"+label, SecretSize)
	if err != nil { // only if SecretSize were over 255 hashes
		panic(err)
	}
	return s
}

// secrets is what Secret derives from.
func (k *Key) secrets() []byte {
	if k.root != nil {
		return k.root
	}
	return k.private.Seed()
}

// pinText has one spelling for each key.
var pinText = base64.RawURLEncoding.Strict()

// Pin is the form of a public key that operators compare and configure:
// "ed25519:" and the 32 bytes in unpadded base64url.
func Pin(public ed25519.PublicKey) string {
	return pinPrefix + pinText.EncodeToString(public)
}
