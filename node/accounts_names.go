package node

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"parley/protocol"
)

// Bounds of logins and passwords, in characters.
const (
	minLogin    = 3
	maxLogin    = 32
	minPassword = 6
	maxPassword = 256
)

// badSecret is the answer to a login or password that is not allowed; operators
// read why.
func badSecret(why string) error {
	return &protocol.Error{Fault: protocol.Policy, What: "auth", Err: errors.New(why)}
}

var (
	errLogin = badSecret(fmt.Sprintf("the login must have %d to %d characters: letters, digits, and _ . - after the first",
		minLogin, maxLogin))
	errPassword = badSecret(fmt.Sprintf("the password must have %d to %d characters, and no control characters",
		minPassword, maxPassword))
)

// splitSecret cuts "login:password".
func splitSecret(secret []byte) (login, password string, err error) {
	login, password, found := strings.Cut(string(secret), ":")
	if !found || !utf8.Valid(secret) {
		return "", "", protocol.Malformed
	}
	return login, password, nil
}

// loginName is the one form of a login, whatever its case and Unicode composition
// (PRECIS UsernameCaseMapped, RFC 8265): letters, digits and "_.-", beginning with
// a letter or digit.
func loginName(s string) (string, error) {
	s, err := precis.UsernameCaseMapped.String(s)
	if n := utf8.RuneCountInString(s); err != nil || n < minLogin || n > maxLogin {
		return "", errLogin
	}
	for i, c := range s {
		letter := unicode.IsLetter(c) || unicode.IsNumber(c)
		if !letter && (i == 0 || !unicode.IsMark(c) && !strings.ContainsRune("_.-", c)) {
			return "", errLogin
		}
	}
	return s, nil
}

// passwordForm is the one form of a password, however it was composed (PRECIS
// OpaqueString, RFC 8265).
func passwordForm(s string) (string, error) {
	s, err := precis.OpaqueString.String(s)
	if n := utf8.RuneCountInString(s); err != nil || n < minPassword || n > maxPassword {
		return "", errPassword
	}
	return s, nil
}
