package node

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"parley/protocol"
)

// Bounds of logins and passwords, in characters; maxPassword in bytes.
const (
	minLogin    = 3
	maxLogin    = 32
	minPassword = 6
	maxPassword = 256
)

// badSecret is the answer to a login or password that is not allowed.
func badSecret(why string) error {
	return &protocol.Error{Fault: protocol.Policy, What: "auth", Err: errors.New(why)}
}

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
	if err != nil {
		return "", badSecret("the login has characters that are not allowed")
	}
	if n := utf8.RuneCountInString(s); n < minLogin || n > maxLogin {
		return "", badSecret("the login is too short or too long")
	}
	for i, c := range s {
		letter := unicode.IsLetter(c) || unicode.IsNumber(c)
		if !letter && (i == 0 || !unicode.IsMark(c) && !strings.ContainsRune("_.-", c)) {
			return "", badSecret("the login has characters that are not allowed")
		}
	}
	return s, nil
}

// passwordForm is the one form of a password, however it was composed (PRECIS
// OpaqueString, RFC 8265).
func passwordForm(s string) (string, error) {
	if len(s) > maxPassword {
		return "", badSecret("the password is too long")
	}
	s, err := precis.OpaqueString.String(s)
	if err != nil {
		return "", badSecret("the password has characters that are not allowed")
	}
	if utf8.RuneCountInString(s) < minPassword {
		return "", badSecret("the password is too short")
	}
	return s, nil
}
