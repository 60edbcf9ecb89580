package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Params are the costs of argon2id (RFC 9106). They are written into each hash,
// so that hashes made with others still verify.
type Params struct {
	Time    uint32 // passes; 2
	Memory  uint32 // KiB; 19456, with 2 passes the choice of OWASP
	Threads uint8  // 1
}

const (
	saltLen = 16
	keyLen  = 32
	// Bounds on what a stored hash may ask for: a damaged one must not take the
	// node's memory.
	maxMemory = 1 << 20 // KiB
	maxTime   = 64
)

// DefaultAtOnce is how many passwords are hashed at the same time: each takes
// Params.Memory.
const DefaultAtOnce = 2

// Argon2 hashes passwords with argon2id and writes PHC strings,
// "$argon2id$v=19$m=19456,t=2,p=1$salt$hash". It implements node.Passwords.
type Argon2 struct {
	params Params
	turns  chan struct{}
	dummy  phc
}

// NewArgon2 hashes with p, zero fields meaning the default, at most atOnce
// passwords at a time, zero meaning DefaultAtOnce.
func NewArgon2(p Params, atOnce int) *Argon2 {
	if p.Time == 0 {
		p.Time = 2
	}
	if p.Memory == 0 {
		p.Memory = 19 << 10
	}
	if p.Threads == 0 {
		p.Threads = 1
	}
	if atOnce <= 0 {
		atOnce = DefaultAtOnce
	}
	a := &Argon2{params: p, turns: make(chan struct{}, atOnce)}
	a.dummy = phc{params: p, salt: random(saltLen), key: random(keyLen)}
	return a
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // does not fail: since Go 1.24 it ends the program instead
	return b
}

// turn waits until fewer than the allowed number of hashes are being made.
func (a *Argon2) turn(ctx context.Context) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case a.turns <- struct{}{}:
		return func() { <-a.turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Hash implements node.Passwords. Its only error is that of ctx.
func (a *Argon2) Hash(ctx context.Context, password string) ([]byte, error) {
	done, err := a.turn(ctx)
	if err != nil {
		return nil, fmt.Errorf("auth: hash: %w", err)
	}
	defer done()
	h := phc{params: a.params, salt: random(saltLen)}
	h.key = h.derive(password, keyLen)
	return []byte(h.String()), nil
}

// Verify implements node.Passwords. A hash that cannot be read is an error, and
// takes no time.
func (a *Argon2) Verify(ctx context.Context, hash []byte, password string) (bool, error) {
	h, known := a.dummy, hash != nil
	if known {
		var err error
		if h, err = parsePHC(string(hash)); err != nil {
			return false, err
		}
	}
	done, err := a.turn(ctx)
	if err != nil {
		return false, fmt.Errorf("auth: verify: %w", err)
	}
	defer done()
	same := subtle.ConstantTimeCompare(h.derive(password, uint32(len(h.key))), h.key) == 1
	return same && known, nil
}

// Outdated reports whether a hash was made with other costs than new ones are, so
// that it can be replaced when the password is next known.
func (a *Argon2) Outdated(hash []byte) bool {
	h, err := parsePHC(string(hash))
	return err != nil || h.params != a.params || len(h.key) != keyLen
}

// phc is a hash in parts.
type phc struct {
	params Params
	salt   []byte
	key    []byte
}

func (h phc) derive(password string, n uint32) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.params.Time, h.params.Memory, h.params.Threads, n)
}

func (h phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.params.Memory, h.params.Time, h.params.Threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

var errPHC = errors.New("auth: not an argon2id hash in PHC form")

func parsePHC(s string) (phc, error) {
	f := strings.Split(s, "$") // "", argon2id, v, parameters, salt, key
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, errPHC
	}
	var h phc
	p := &h.params
	if n, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &p.Memory, &p.Time, &p.Threads); n != 3 || err != nil {
		return phc{}, errPHC
	}
	if p.Threads == 0 || p.Time == 0 || p.Time > maxTime || p.Memory > maxMemory {
		return phc{}, errPHC
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(f[4])
	h.key, err2 = base64.RawStdEncoding.DecodeString(f[5])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.key) < 16 || len(h.key) > 64 || h.String() != s {
		return phc{}, errPHC
	}
	return h, nil
}
