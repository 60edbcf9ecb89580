package expr

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestHolds(t *testing.T) {
	figures := map[string]float64{"a": 1, "b": 2, "p99": 0.25}
	for text, want := range map[string]bool{
		"a < b":                          true,
		"a >= b":                         false,
		"a + b * 2 == 5":                 true,
		"(a + b) * 2 == 6":               true,
		"b - a - a == 0":                 true,
		"8 / b / 2 == 2":                 true,
		"-a < 0":                         true,
		"-a + b == 1":                    true,
		"p99 <= 250ms":                   true,
		"p99 < 0.1s":                     false,
		"a * 64KiB == 65536":             true,
		"a != 1 or b == 2":               true,
		"a == 1 and b == 1":              false,
		"not a == 2":                     true,
		"not (a == 1 and b == 2)":        false,
		"a == 1 or a == 2 and b == 3":    true,
		"(a == 1 or a == 2) and b == 3":  false,
		"not a == 2 and b == 2":          true,
		"1e3 == 1000 and 2h == 7200":     true,
		"a / (b - 2) > 1000000 and b==2": true, // infinite
	} {
		e, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := e.Holds(figures); got != want || err != nil {
			t.Errorf("%s: %v %v, want %v", text, got, err, want)
		}
	}
}

func TestWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":               "something is missing, at character 1",
		"a":              "a number, not a condition",
		"a <":            "something is missing, at character 4",
		"a < b c":        `nothing more is expected here, not "c", at character 7`,
		"(a < b":         `")" is missing`,
		"a < b < c":      `"<" is between two numbers, at character 7`,
		"a and b":        `"and" is between two conditions`,
		"a + (b < c)":    `"+" is between two numbers`,
		"3furlongs > 1":  `"3furlongs" is no number`,
		"a $ b":          `nothing more is expected here, not "$"`,
		"not a":          `"not" goes before a condition`,
		"-(a < b) > 1":   `"-" goes before a number`,
		"a < and":        `"and" does not belong here`,
		"a = b":          `not "="`,
		"a < b or ) > 1": `")" does not belong`,
	} {
		_, err := Parse(text)
		var at *SyntaxError
		if !errors.As(err, &at) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestNames(t *testing.T) {
	e, err := Parse("b < a and a_1 > b")
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Names(); !slices.Equal(got, []string{"a", "a_1", "b"}) {
		t.Errorf("names %v", got)
	}
	if _, err := e.Holds(map[string]float64{"a": 1, "b": 2}); err == nil || !strings.Contains(err.Error(), "a_1") {
		t.Errorf("a missing figure: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("latency_p99 < 250ms and (lost == 0 or not strict > 0)")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil {
			return
		}
		figures := map[string]float64{}
		for _, n := range e.Names() {
			figures[n] = 1
		}
		if _, err := e.Holds(figures); err != nil {
			t.Error(err)
		}
	})
}
