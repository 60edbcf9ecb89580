package federation

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeySurvivesAndIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), KeyFile)
	made, err := CreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %04o, want 0600", info.Mode().Perm())
	}
	loaded, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if made.Pin() != loaded.Pin() || !bytes.Equal(made.Secret("x"), loaded.Secret("x")) {
		t.Error("the loaded key is not the one that was made")
	}
	if rest, err := filepath.Glob(path + ".*"); err != nil || len(rest) != 0 {
		t.Errorf("left behind: %v %v", rest, err)
	}
}

func TestCreateKeyKeepsTheOldOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), KeyFile)
	first, err := CreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateKey(path); !errors.Is(err, ErrKeyExists) {
		t.Errorf("error %v, want ErrKeyExists", err)
	}
	if again, err := LoadKey(path); err != nil || again.Pin() != first.Pin() {
		t.Errorf("the first key is gone: %v", err)
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, KeyFile)
	if _, err := CreateKey(good); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(x25519)
	if err != nil {
		t.Fatal(err)
	}
	other := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})

	for name, c := range map[string]struct {
		content []byte
		mode    os.FileMode
		want    error
		says    string
	}{
		"readable by all":    {content, 0o644, ErrKeyOpen, "chmod 600 "},
		"writable by group":  {content, 0o620, ErrKeyOpen, "mode 0620"},
		"empty":              {nil, 0o600, ErrKeyFormat, "k"},
		"no PEM":             {[]byte("hello"), 0o600, ErrKeyFormat, "k"},
		"cut short":          {content[:len(content)-30], 0o600, ErrKeyFormat, "k"},
		"something after":    {append(bytes.Clone(content), "x"...), 0o600, ErrKeyFormat, "k"},
		"another kind":       {other, 0o600, ErrKeyFormat, "k"},
		"certificate header": {bytes.ReplaceAll(content, []byte("PRIVATE KEY"), []byte("CERTIFICATE")), 0o600, ErrKeyFormat, "k"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadKey(path)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.says)
			}
		})
	}
	if _, err := LoadKey(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want fs.ErrNotExist", err)
	}
}

// The seed, pin and secrets of RFC 8032's first test key: they must stay the same
// for ever, or every node would lose its name and tokens with an update.
func TestPinAndSecretsAreStable(t *testing.T) {
	seed := []byte{
		0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
		0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
	}
	k := &Key{private: ed25519.NewKeyFromSeed(seed)}
	if got, want := k.Pin(), "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"; got != want {
		t.Errorf("pin %s, want %s", got, want)
	}
	for label, want := range map[string]string{
		"a": "90e1a496040492b5ca29b5dfa53021336d50c9442b9503e3337213effbc0d4ab",
		"b": "08ceb6336c626797ea173b212d8710949592eef7e0a83d43212a898c3d566421",
	} {
		if got := hex.EncodeToString(k.Secret(label)); got != want {
			t.Errorf("secret %q is %s, want %s", label, got, want)
		}
	}
}
