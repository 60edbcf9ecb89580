// Package expr reads conditions over figures, such as
//
//	latency_p99 < 250ms and (lost == 0 or not strict > 0)
//
// Values are numbers; time spans are seconds ("250ms", "2h"), sizes bytes ("64KiB").
// From loose to tight: or, and, not, < <= > >= == !=, + -, * /, minus.
package expr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxText bounds a condition, in bytes, and so how deep it can be.
const maxText = 1000

// Expr is a condition.
type Expr struct {
	text  string
	root  node
	names []string
}

// SyntaxError says what is wrong with a condition, and where.
type SyntaxError struct {
	Offset int // in bytes
	Text   string
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s, at character %d", e.Text, e.Offset+1) }

// Parse reads a condition. The error is a *SyntaxError.
func Parse(text string) (*Expr, error) {
	if len(text) > maxText {
		return nil, &SyntaxError{maxText, "this is too long"}
	}
	p := &parser{text: text}
	p.next()
	root, err := p.binary(0)
	switch {
	case p.err != nil:
		return nil, p.err
	case err != nil:
		return nil, err
	case p.tok.kind != end:
		return nil, p.fail("nothing more is expected here, not %q", p.tok.text)
	case !root.truth():
		return nil, &SyntaxError{0, "this is a number, not a condition: compare it with something"}
	}
	slices.Sort(p.names)
	return &Expr{text: text, root: root, names: slices.Compact(p.names)}, nil
}

// String is the text that was read.
func (e *Expr) String() string { return e.text }

// Names are the figures that it is about, sorted.
func (e *Expr) Names() []string { return e.names }

// Holds reports whether it does. A figure that is not there makes an error.
func (e *Expr) Holds(figures map[string]float64) (bool, error) {
	for _, n := range e.names {
		if _, ok := figures[n]; !ok {
			return false, fmt.Errorf("there is no figure %q", n)
		}
	}
	return e.root.eval(figures) != 0, nil
}

// node is a part of an expression; conditions are 1 or 0.
type node interface {
	truth() bool // is a condition
	eval(map[string]float64) float64
}

type (
	number float64
	figure string
	not    struct{ of node }
	minus  struct{ of node }
	pair   struct {
		op   string
		a, b node
	}
)

func (number) truth() bool                         { return false }
func (n number) eval(map[string]float64) float64   { return float64(n) }
func (figure) truth() bool                         { return false }
func (f figure) eval(m map[string]float64) float64 { return m[string(f)] }
func (not) truth() bool                            { return true }
func (n not) eval(m map[string]float64) float64    { return 1 - n.of.eval(m) }
func (minus) truth() bool                          { return false }
func (n minus) eval(m map[string]float64) float64  { return -n.of.eval(m) }
func (p pair) truth() bool                         { return level(p.op) <= comparing }

func (p pair) eval(m map[string]float64) float64 {
	a, b := p.a.eval(m), p.b.eval(m)
	switch p.op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	}
	holds := map[string]bool{"or": a+b > 0, "and": a*b > 0, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "==": a == b, "!=": a != b}[p.op]
	if holds {
		return 1
	}
	return 0
}

// operators by how tight they bind.
var operators = [][]string{{"or"}, {"and"}, {"<", "<=", ">", ">=", "==", "!="}, {"+", "-"}, {"*", "/"}}

const comparing = 2 // the level of comparisons

func level(op string) int {
	return slices.IndexFunc(operators, func(l []string) bool { return slices.Contains(l, op) })
}

type kind int

const (
	end kind = iota
	word
	value
	sign
)

type token struct {
	kind kind
	text string
	at   int
}

type parser struct {
	text  string
	pos   int
	tok   token
	names []string
	err   error
}

func (p *parser) fail(format string, args ...any) error {
	if p.err == nil {
		p.err = &SyntaxError{p.tok.at, fmt.Sprintf(format, args...)}
	}
	return p.err
}

// next reads a token.
func (p *parser) next() {
	rest := p.text[p.pos:]
	p.pos += len(rest) - len(strings.TrimLeft(rest, " \t\n"))
	rest = p.text[p.pos:]
	p.tok = token{end, "", p.pos}
	if rest == "" {
		return
	}
	r := rune(rest[0])
	switch {
	case unicode.IsLetter(r):
		p.take(word, rest, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' })
	case unicode.IsDigit(r):
		p.take(value, rest, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' })
	default:
		n := 1
		if len(rest) > 1 && slices.Contains([]string{"<=", ">=", "==", "!="}, rest[:2]) {
			n = 2
		}
		p.tok = token{sign, rest[:n], p.pos}
		p.pos += n
	}
}

func (p *parser) take(k kind, rest string, part func(rune) bool) {
	n := strings.IndexFunc(rest, func(r rune) bool { return !part(r) })
	if n < 0 {
		n = len(rest)
	}
	p.tok = token{k, rest[:n], p.pos}
	p.pos += n
}

// binary reads operators of a level and tighter.
func (p *parser) binary(l int) (node, error) {
	if l == len(operators) {
		return p.unary()
	}
	a, err := p.binary(l + 1)
	for err == nil && slices.Contains(operators[l], p.tok.text) {
		op := p.tok
		p.next()
		var b node
		if b, err = p.binary(l + 1); err != nil {
			return nil, err
		}
		if want := l < comparing; a.truth() != want || b.truth() != want {
			what := map[bool]string{true: "conditions", false: "numbers"}[want]
			return nil, &SyntaxError{op.at, fmt.Sprintf("%q is between two %s", op.text, what)}
		}
		a = pair{op.text, a, b}
	}
	return a, err
}

func (p *parser) unary() (node, error) {
	t := p.tok
	p.next()
	switch {
	case t.text == "(":
		n, err := p.binary(0)
		if err == nil && p.tok.text != ")" {
			return nil, p.fail("a \")\" is missing")
		}
		p.next()
		return n, err
	case t.text == "not":
		of, err := p.binary(comparing)
		if err == nil && !of.truth() {
			err = &SyntaxError{t.at, "\"not\" goes before a condition"}
		}
		return not{of}, err
	case t.text == "-":
		of, err := p.unary()
		if err == nil && of.truth() {
			err = &SyntaxError{t.at, "\"-\" goes before a number"}
		}
		return minus{of}, err
	case t.kind == value:
		n, ok := amount(t.text)
		if !ok {
			return nil, &SyntaxError{t.at, fmt.Sprintf("%q is no number, time span or size", t.text)}
		}
		return number(n), nil
	case t.kind == word && level(t.text) < 0:
		p.names = append(p.names, t.text)
		return figure(t.text), nil
	case t.kind == end:
		return nil, &SyntaxError{t.at, "something is missing"}
	}
	return nil, &SyntaxError{t.at, fmt.Sprintf("%q does not belong here", t.text)}
}

var sizes = map[string]float64{"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

// amount reads a number, a time span in seconds, or a size in bytes.
func amount(s string) (float64, bool) {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return n, true
	}
	if d, err := time.ParseDuration(s); err == nil {
		return d.Seconds(), true
	}
	i := strings.IndexFunc(s, unicode.IsLetter)
	if i < 0 {
		return 0, false
	}
	unit, ok := sizes[s[i:]]
	n, err := strconv.ParseFloat(s[:i], 64)
	return n * unit, ok && err == nil
}
