package auth

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"text/template"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"

	"parley/node"
	"parley/protocol"
)

// The methods for which there are validators.
const (
	MethodEmail = "email"
	MethodTel   = "tel"
)

// Options of a Validator.
type Options struct {
	// Sender brings the codes; required.
	Sender Sender
	// FixedCode is always good. Refused unless the node is localhost or under it.
	FixedCode string
	// Confirm and Reset are text/templates of what is sent: the first line is the
	// subject, what follows the text. They see .Code, .To, .Login and .Node. Empty
	// means the built-in ones.
	Confirm, Reset string
	// Country is that of telephone numbers without one, if the client's language
	// does not say; ISO 3166-1 alpha-2, "US" if empty.
	Country string
}

const (
	confirmText = `Your code for {{.Node}}: {{.Code}}

Hello,

this address was given for an account at {{.Node}}. The code that confirms it is

    {{.Code}}

If this was not you, do nothing: without the code nothing happens.
`
	resetText = `Your code to set a new password at {{.Node}}

Hello,

somebody asked for a new password for {{.Login}} at {{.Node}}. The code to set it is

    {{.Code}}

If this was not you, do nothing: the old password stays.
`
)

// Validator implements node.Validator for one method.
type Validator struct {
	method    string
	normalise func(value, lang string) (string, error)
	home      protocol.Node
	sender    Sender
	fixed     string
	confirm   *template.Template
	reset     *template.Template
}

// NewEmail confirms e-mail addresses.
func NewEmail(home protocol.Node, o Options) (*Validator, error) {
	return newValidator(MethodEmail, home, o, normaliseEmail)
}

// NewTel confirms telephone numbers, in the form of E.164.
func NewTel(home protocol.Node, o Options) (*Validator, error) {
	country := strings.ToUpper(o.Country)
	if country == "" {
		country = "US"
	}
	if phonenumbers.GetCountryCodeForRegion(country) == 0 {
		return nil, fmt.Errorf("auth: unknown country %q", o.Country)
	}
	return newValidator(MethodTel, home, o, func(value, lang string) (string, error) {
		return normaliseTel(value, lang, country)
	})
}

func newValidator(method string, home protocol.Node, o Options, n func(value, lang string) (string, error)) (*Validator, error) {
	if o.Sender == nil {
		return nil, fmt.Errorf("auth: validator %s: no sender", method)
	}
	if o.FixedCode != "" && home != "localhost" && !strings.HasSuffix(string(home), ".localhost") {
		return nil, fmt.Errorf("auth: validator %s: a fixed code is for tests, under localhost names only, not for %s", method, home)
	}
	v := &Validator{method: method, normalise: n, home: home, sender: o.Sender, fixed: o.FixedCode}
	var err error
	if v.confirm, err = parseTemplate(method+" confirm", o.Confirm, confirmText); err != nil {
		return nil, err
	}
	if v.reset, err = parseTemplate(method+" reset", o.Reset, resetText); err != nil {
		return nil, err
	}
	return v, nil
}

// FixedCode implements node.Validator.
func (v *Validator) FixedCode() string { return v.fixed }

// Normalise implements node.Validator.
func (v *Validator) Normalise(value, lang string) (string, error) { return v.normalise(value, lang) }

// Send implements node.Validator. It returns when the sender has done its part.
func (v *Validator) Send(ctx context.Context, c node.Code) error {
	t := v.confirm
	if c.Login != "" {
		t = v.reset
	}
	subject, text, err := render(t, letter{Code: c.Code, To: c.To, Login: c.Login, Node: string(v.home)})
	if err != nil {
		return err
	}
	err = v.sender.Send(ctx, Message{
		Method: v.method, To: c.To, Code: c.Code, Lang: c.Lang, Login: c.Login, Subject: subject, Text: text,
	})
	if err != nil {
		return fmt.Errorf("auth: send to %s: %w", v.method, err)
	}
	return nil
}

// maxEmail is the longest address in octets (RFC 5321, 4.5.3.1.3, less the brackets).
const maxEmail = 254

var (
	errEmail = errors.New("not an e-mail address")
	errTel   = errors.New("not a telephone number")
)

// normaliseEmail makes "Ann@Example.ORG" and "ann@example.org" one address: two
// people who differ in case only do not exist in practice.
func normaliseEmail(value, _ string) (string, error) {
	value = strings.TrimSpace(value)
	a, err := mail.ParseAddress(value)
	if err != nil || a.Address != value || a.Name != "" {
		return "", errEmail
	}
	at := strings.LastIndexByte(value, '@')
	local, domain := strings.ToLower(value[:at]), value[at+1:]
	domain, err = idna.Lookup.ToASCII(strings.ToLower(domain))
	if err != nil || !plain(local) || !plain(domain) || strings.HasPrefix(domain, "[") {
		return "", errEmail
	}
	if value = local + "@" + domain; len(value) > maxEmail {
		return "", errEmail
	}
	return value, nil
}

// plain reports whether s is a dot-atom of printable ASCII (RFC 5322, 3.2.3): no
// quoting, spaces, or characters that mean something to mail programs.
func plain(s string) bool {
	for _, c := range s {
		if c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>[]:;@\,"`, c) {
			return false
		}
	}
	return s != ""
}

// maxTel bounds what is given to the parser, in bytes.
const maxTel = 64

func normaliseTel(value, lang, country string) (string, error) {
	if len(value) > maxTel {
		return "", errTel
	}
	if c := countryOf(lang); c != "" {
		country = c
	}
	n, err := phonenumbers.Parse(value, country)
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return "", errTel
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// countryOf finds the region in a language tag, "en-US", "pt_BR" or "zh-Hans-CN"
// (RFC 5646); empty if there is none that has telephones.
func countryOf(lang string) string {
	tags := strings.FieldsFunc(lang, func(c rune) bool { return c == '-' || c == '_' })
	for i, t := range tags {
		if i > 0 && len(t) == 2 && phonenumbers.GetCountryCodeForRegion(strings.ToUpper(t)) != 0 {
			return strings.ToUpper(t)
		}
	}
	return ""
}

// letter is what templates see.
type letter struct{ Code, To, Login, Node string }

func parseTemplate(name, text, byDefault string) (*template.Template, error) {
	if text == "" {
		text = byDefault
	}
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("auth: template: %w", err)
	}
	if _, _, err := render(t, letter{Code: "000000"}); err != nil {
		return nil, err
	}
	return t, nil
}

// render gives the first line as subject, the rest as text.
func render(t *template.Template, l letter) (subject, text string, err error) {
	var b strings.Builder
	if err := t.Execute(&b, l); err != nil {
		return "", "", fmt.Errorf("auth: template: %w", err)
	}
	subject, text, _ = strings.Cut(b.String(), "\n")
	return strings.TrimSpace(subject), strings.TrimLeft(text, "\r\n"), nil
}
