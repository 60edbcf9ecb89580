package node

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"math/big"
	"time"

	"parley/protocol"
	"parley/store"
)

// Limits of the codes that are sent to addresses.
const (
	codesPerHour = 3  // in a row to one address; then an hour's pause
	codesPerDay  = 10 // to one address, and to the unconfirmed addresses of one user
	codeTries    = 4  // wrong answers that make a code void
	codeDigits   = 6
)

// newCode makes a code.
func newCode() (string, error) {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(codeDigits), nil)
	n, err := rand.Int(rand.Reader, limit)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%0*d", codeDigits, n), nil
}

// codeHash hides a code from those who only see the store. It does not withstand
// guessing for long: that the code expires is what protects it.
func codeHash(c *store.Credential, code string) []byte {
	h := sha256.New()
	for _, s := range []string{"parley code", string(c.User), c.Method, c.Value, code} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return h.Sum(nil)
}

// sentToday counts the codes sent to c on the day of now (UTC).
func sentToday(c *store.Credential, now time.Time) int {
	const day = 24 * time.Hour
	if c.SentAt.Truncate(day).Equal(now.Truncate(day)) {
		return c.Sent
	}
	return 0
}

// issue puts a fresh code into c, good for life. The error is TooMany.
func issue(c *store.Credential, now time.Time, life time.Duration) (code string, err error) {
	sent := sentToday(c, now)
	pause := sent > 0 && sent%codesPerHour == 0 && now.Sub(c.SentAt) < time.Hour
	if sent >= codesPerDay || pause {
		return "", &protocol.Error{Fault: protocol.TooMany, What: "cred"}
	}
	if code, err = newCode(); err != nil {
		return "", err
	}
	c.Code, c.Expires, c.Tries = codeHash(c, code), now.Add(life), 0
	c.Sent, c.SentAt, c.Updated = sent+1, now, now
	return code, nil
}

// answerable reports whether a code was sent that is still good.
func answerable(c *store.Credential, now time.Time) bool {
	return len(c.Code) > 0 && now.Before(c.Expires)
}

// try compares an answer with the code last sent and uses the code up: at once if
// it is right, after some wrong answers if not. The caller stores c in any case.
func (a *accounts) try(c *store.Credential, answer string, now time.Time) bool {
	v := a.validators[c.Method]
	if v == nil || !answerable(c, now) {
		return false
	}
	c.Updated = now
	right := subtle.ConstantTimeCompare(codeHash(c, answer), c.Code) == 1
	if fixed := v.FixedCode(); fixed != "" && subtle.ConstantTimeCompare([]byte(answer), []byte(fixed)) == 1 {
		right = true
	}
	if !right {
		c.Tries++
	}
	if right || c.Tries >= codeTries {
		c.Code = nil
	}
	return right
}
