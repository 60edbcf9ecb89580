package auth

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"parley/node"
	"parley/protocol"
	"parley/store"
)

// A token is 55 bytes: a body of 23 and the HMAC-SHA-256 of the body.
//
//	byte  0      version
//	      1      purpose
//	      2      level
//	      3..6   epoch, big-endian as all that follows
//	      7..14  expires, seconds since 1970
//	     15..22  user, the 64 bits of the id
const (
	tokenVersion = 1
	tokenBody    = 23
	tokenLen     = tokenBody + sha256.Size
)

// SecretLen is the length of a node's token secret, in bytes.
const SecretLen = 32

// Lifetimes are how long tokens are good; a zero field means its default.
type Lifetimes struct {
	Login    time.Duration // 14 days
	Validate time.Duration // 1 day; also of codes that confirm an address
	Reset    time.Duration // 1 hour; also of codes that reset a secret
}

// Tokens signs tokens for the users of one node. It implements node.Tokens.
type Tokens struct {
	key   []byte
	home  protocol.Node
	lives Lifetimes
}

// NewTokens derives the signing key from the node's secret (HKDF, RFC 5869), bound
// to its name: a token of one node is forged to another.
func NewTokens(secret []byte, home protocol.Node, l Lifetimes) (*Tokens, error) {
	if len(secret) != SecretLen {
		return nil, fmt.Errorf("auth: the token secret must have %d bytes, not %d", SecretLen, len(secret))
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "parley-login-token-v1\x00"+string(home), sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("auth: token key: %w", err)
	}
	if l.Login == 0 {
		l.Login = 14 * 24 * time.Hour
	}
	if l.Validate == 0 {
		l.Validate = 24 * time.Hour
	}
	if l.Reset == 0 {
		l.Reset = time.Hour
	}
	return &Tokens{key: key, home: home, lives: l}, nil
}

// Lifetime implements node.Tokens.
func (t *Tokens) Lifetime(p node.Purpose) time.Duration {
	switch p {
	case node.ForLogin:
		return t.lives.Login
	case node.ForValidate:
		return t.lives.Validate
	}
	return t.lives.Reset
}

// Issue implements node.Tokens. The user must be of this node.
func (t *Tokens) Issue(k node.Token) []byte {
	b := make([]byte, 0, tokenLen)
	b = append(b, tokenVersion, byte(k.Purpose), byte(k.Level))
	b = binary.BigEndian.AppendUint32(b, k.Epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(k.Expires.Unix()))
	b = binary.BigEndian.AppendUint64(b, userBits(k.User))
	return t.sign(b)
}

func (t *Tokens) sign(body []byte) []byte {
	m := hmac.New(sha256.New, t.key)
	m.Write(body)
	return m.Sum(body)
}

// userBits undoes protocol.NewUserID; 0, which is nobody, for what is no id.
func userBits(u protocol.UserID) uint64 {
	const prefix = len("usr")
	local := u.Local()
	if len(local) < prefix {
		return 0
	}
	b, err := base64.RawURLEncoding.DecodeString(local[prefix:])
	if err != nil || len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

var (
	errTokenLen     = errors.New("auth: a token of another length")
	errTokenForged  = errors.New("auth: the token is not signed by this node")
	errTokenExpired = errors.New("auth: the token has expired")
)

// Read implements node.Tokens.
func (t *Tokens) Read(token []byte, now time.Time) (node.Token, error) {
	if len(token) != tokenLen {
		return node.Token{}, &protocol.Error{Fault: protocol.Malformed, Err: errTokenLen}
	}
	body := token[:tokenBody:tokenBody]
	if token[0] != tokenVersion || !hmac.Equal(t.sign(body), token) {
		return node.Token{}, &protocol.Error{Fault: protocol.BadLogin, Err: errTokenForged}
	}
	k := node.Token{
		Purpose: node.Purpose(body[1]),
		Level:   store.Level(body[2]),
		Epoch:   binary.BigEndian.Uint32(body[3:]),
		Expires: time.Unix(int64(binary.BigEndian.Uint64(body[7:])), 0).UTC(),
		User:    protocol.NewUserID(binary.BigEndian.Uint64(body[15:]), t.home),
	}
	if !now.Before(k.Expires) {
		return node.Token{}, &protocol.Error{Fault: protocol.BadLogin, Err: errTokenExpired}
	}
	return k, nil
}
