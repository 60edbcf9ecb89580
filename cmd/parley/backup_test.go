package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/archive"
	"parley/cmd/parley/config"
)

// addFile puts an attachment where a node keeps them.
func addFile(t *testing.T, data string) {
	t.Helper()
	file := filepath.Join(dataDir(data).files(), "xx", "attachment")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("picture"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A backup made from a running node and one from a stopped node both come back.
func TestBackupAndRestore(t *testing.T) {
	data := filepath.Join(t.TempDir(), "d")
	good(t, "", "init", "--data", data, "--name", "a.localhost")
	p := start(t, data)
	good(t, "secret1\n", "user", "add", "alice", "--password-stdin", "--data", data)
	addFile(t, data)
	dir := t.TempDir()
	live, still := filepath.Join(dir, "live.tar"), filepath.Join(dir, "still.tar")
	out := good(t, "", "backup", live, "--data", data)
	if !strings.Contains(out, "of node a.localhost") || !strings.Contains(out, "key is not in it") {
		t.Errorf("backup says %q", out)
	}
	p.stop()
	good(t, "", "backup", still, "--with-key", "--data", data)
	pin := good(t, "", "key", "--data", data)

	for file, withKey := range map[string]bool{live: false, still: true} {
		if out := good(t, "", "restore", "--check", file); !strings.Contains(out, "is whole: node a.localhost") {
			t.Errorf("check says %q", out)
		}
		back := filepath.Join(t.TempDir(), "back")
		out := good(t, "", "restore", file, "--data", back)
		if withKey != strings.Contains(out, pin) || withKey == strings.Contains(out, "key was not in the backup") {
			t.Errorf("restore with key=%v says %q", withKey, out)
		}
		if !withKey {
			fails(t, exitFailed, parley(t, "", "serve", "--data", back, "--http", "127.0.0.1:0"), "node.key is missing")
			good(t, "", "key", "--create", "--data", back)
		}
		if content, err := os.ReadFile(filepath.Join(back, "files", "xx", "attachment")); err != nil || string(content) != "picture" {
			t.Errorf("the attachment is %q (%v)", content, err)
		}
		if left, err := filepath.Glob(filepath.Join(back, "*.tmp")); err != nil || len(left) != 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
		q := start(t, back)
		if err := q.signIn(q.run.HTTP, "alice", "secret1"); err != nil || !strings.Contains(q.out.String(), "node a.localhost") {
			t.Errorf("the restored node: %v %s", err, q.out)
		}
		q.stop()
	}
}

func TestRestoreRefuses(t *testing.T) {
	data := fresh(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "b.tar")
	good(t, "", "backup", file, "--data", data)
	fails(t, exitFailed, parley(t, "", "backup", file, "--data", data), "is there already")
	fails(t, exitFailed, parley(t, "", "restore", file, "--data", data), "is there already", "--data")

	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	for name, content := range map[string][]byte{"short": whole[:len(whole)/2], "damaged": damaged, "other": []byte("hello")} {
		bad := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(bad, content, 0o600); err != nil {
			t.Fatal(err)
		}
		back := t.TempDir()
		fails(t, exitFailed, parley(t, "", "restore", bad, "--data", back), bad, archive.ErrFormat.Error())
		fails(t, exitFailed, parley(t, "", "restore", "--check", bad), bad)
		if left, err := os.ReadDir(back); err != nil || len(left) != 0 {
			t.Errorf("%s: left behind: %v %v", name, left, err)
		}
	}
}

func findings(t *testing.T, data string, code int) map[string]finding {
	t.Helper()
	r := parley(t, "", "check", "--json", "--data", data)
	if r.code != code {
		t.Errorf("exit code %d, want %d: %s%s", r.code, code, r.out, r.err)
	}
	var list []finding
	if err := json.Unmarshal([]byte(r.out), &list); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	all := map[string]finding{}
	for _, f := range list {
		all[f.Check] = f
	}
	return all
}

func TestCheck(t *testing.T) {
	data := filepath.Join(t.TempDir(), "d")
	good(t, "", "init", "--data", data)
	settings := dataDir(data).path(config.FileName)
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(`#listen = "127.0.0.1:60`), []byte(`listen = "127.0.0.1:0"#`))
	if err := os.WriteFile(settings, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := findings(t, data, exitOK); f["key"].Result != fine || f["database"].Result != fine || !strings.Contains(f["http"].Text, "is free") {
		t.Errorf("before the first start: %+v", f)
	}
	p := start(t, data)
	if f := findings(t, data, exitOK); !strings.Contains(f["database"].Text, "node localhost, accounts: 0") || !strings.Contains(f["node"].Text, "process") || !strings.Contains(f["http"].Text, p.run.HTTP) {
		t.Errorf("while it runs: %+v", f)
	}
	p.stop()
	if f := findings(t, data, exitOK); !strings.Contains(f["database"].Text, "node localhost") || f["node"].Text != "does not run" {
		t.Errorf("when it has stopped: %+v", f)
	}
	if err := os.Chmod(dataDir(data).key(), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if f := findings(t, data, exitFailed); f["key"].Result != bad || !strings.Contains(f["key"].Text, "chmod 600") || f["data"].Result != warn {
		t.Errorf("with an open key: %+v", f)
	}
	if err := os.WriteFile(settings, []byte("x = 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := findings(t, data, exitFailed); f["settings"].Result != bad || !strings.Contains(f["settings"].Text, ":1:1:") {
		t.Errorf("with wrong settings: %+v", f)
	}
}

// selfSigned writes a certificate for name and its key.
func selfSigned(t *testing.T, dir, name string, until time.Time) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: until}
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, public, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// With a certificate the node speaks HTTPS, and check looks at how long it is good.
func TestCheckCertificate(t *testing.T) {
	data := t.TempDir()
	text := "[node]\nname = \"a.localhost\"\n[http]\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\nlisten = \"127.0.0.1:0\"\n"
	if err := os.WriteFile(dataDir(data).path(config.FileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	selfSigned(t, data, "a.localhost", time.Now().Add(90*24*time.Hour))
	p := start(t, data)
	if !strings.HasPrefix(p.run.HTTP, "https://a.localhost:") {
		t.Errorf("open %s", p.run.HTTP)
	}
	if f := findings(t, data, exitOK); f["certificate"].Result != fine || f["http"].Result != warn { // nobody knows who signed it
		t.Errorf("a good certificate: %+v", f)
	}
	p.stop()
	for _, c := range []struct {
		name   string
		left   time.Duration
		result string
		code   int
	}{{"a.localhost", 5 * 24 * time.Hour, warn, exitOK}, {"a.localhost", -time.Hour, bad, exitFailed}, {"b.localhost", 90 * 24 * time.Hour, bad, exitFailed}} {
		selfSigned(t, data, c.name, time.Now().Add(c.left))
		if f := findings(t, data, c.code); f["certificate"].Result != c.result {
			t.Errorf("certificate of %s with %v left: %+v", c.name, c.left, f["certificate"])
		}
	}
}
