package protocol

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestMergeJSON(t *testing.T) {
	for _, c := range []struct {
		name, old, change, want string
		changed                 bool
	}{
		{"nothing to nothing", ``, ``, ``, false},
		{"null keeps", `{"a":1}`, `null`, `{"a":1}`, false},
		{"null keeps, with spaces", `"q"`, " null\n", `"q"`, false},
		{"nothing keeps", `"x"`, ``, `"x"`, false},
		{"set", ``, `{"fn":"Al"}`, `{"fn":"Al"}`, true},
		{"set over null", `null`, `5`, `5`, true},
		{"replace a string", `"a b"`, `"c"`, `"c"`, true},
		{"the same string", `"a"`, ` "a" `, `"a"`, false},
		{"replace an object by a string", `{"a":1}`, `"q"`, `"q"`, true},
		{"replace a string by an object", `"q"`, `{"a":1}`, `{"a":1}`, true},
		{"replace an array", `[1,2]`, `[3]`, `[3]`, true},
		{"clear", `{"a":1}`, `"␡"`, ``, true},
		{"clear, escaped", `{"a":1}`, `"\u2421"`, ``, true},
		{"clear nothing", ``, `"␡"`, ``, false},
		{"clear a stored null", `null`, `"␡"`, ``, false},
		{"not quite clear", `1`, `"␡␡"`, `"␡␡"`, true},
		{"add a key", `{"a":1}`, `{"b":[2]}`, `{"a":1,"b":[2]}`, true},
		{"replace a key", `{"a":1,"b":2}`, `{"a":{"c":3}}`, `{"a":{"c":3},"b":2}`, true},
		{"delete a key", `{"a":1,"b":2}`, `{"a":"␡"}`, `{"b":2}`, true},
		{"delete an escaped key", `{"a":1,"b":2}`, `{"\u0061":"\u2421"}`, `{"b":2}`, true},
		{"delete the last key", `{"a":1}`, `{"a":"␡"}`, ``, true},
		{"delete an absent key", `{"a":1}`, `{"b":"␡"}`, `{"a":1}`, false},
		{"delete at creation", ``, `{"fn":"Al","note":"␡"}`, `{"fn":"Al"}`, true},
		{"null key keeps", `{"a":1}`, `{"a":null}`, `{"a":1}`, false},
		{"null key adds nothing", ``, `{"a":null}`, ``, false},
		{"same object, other order", `{"a":1,"b":2}`, `{"b": 2, "a": 1}`, `{"a":1,"b":2}`, false},
		{"empty object", `{"a":1}`, `{}`, `{"a":1}`, false},
		{"nested values replace", `{"photo":{"data":"x","type":"png"}}`, `{"photo":{"data":"␡","ref":"r"}}`,
			`{"photo":{"data":"␡","ref":"r"}}`, true},
		{"last of doubled keys", ``, `{"a":1,"a":2}`, `{"a":2}`, true},
		{"numbers keep their digits", ``, `{"a":12345678901234567890.10}`, `{"a":12345678901234567890.10}`, true},
		{"markup and separators stay", ``, `{"a":"<b>&\u2028 ` + "\u2028" + `"}`, `{"a":"<b>&\u2028 ` + "\u2028" + `"}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, changed, err := MergeJSON([]byte(c.old), []byte(c.change))
			if err != nil || string(got) != c.want || changed != c.changed {
				t.Errorf("MergeJSON(%s, %s) = %s, %v, %v; want %s, %v", c.old, c.change, got, changed, err, c.want, c.changed)
			}
		})
	}
}

func TestMergeJSONErrors(t *testing.T) {
	for _, c := range [][2]string{{`{"a":1}`, `{"a"`}, {`{"a":1}`, `{} x`}, {`{`, `{"a":1}`}, {`{`, `"␡"`}} {
		got, changed, err := MergeJSON([]byte(c[0]), []byte(c[1]))
		if err == nil || changed || string(got) != c[0] {
			t.Errorf("MergeJSON(%s, %s) = %s, %v, %v; want the old value and an error", c[0], c[1], got, changed, err)
		}
	}
}

// TestMergeJSONModel compares with the rules written over Go values.
func TestMergeJSONModel(t *testing.T) {
	scalar := rapid.OneOf(
		rapid.Just(any(nil)), rapid.Just(any(Clear)), rapid.Just(any(true)),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.IntRange(-9, 9), func(n int) any { return float64(n) }))
	object := rapid.Map(rapid.MapOf(rapid.SampledFrom([]string{"a", "b", "c", "é", "\u2028"}), scalar),
		func(m map[string]any) any { return m })
	value := rapid.OneOf(scalar, object, object, rapid.Map(rapid.SliceOfN(scalar, 0, 3), func(s []any) any { return s }))

	rapid.Check(t, func(t *rapid.T) {
		var have any // as if stored by an earlier merge
		stored := []byte(nil)
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			change := value.Draw(t, "change")
			c, _ := json.Marshal(change)
			merged, changed, err := MergeJSON(stored, c)
			if err != nil {
				t.Fatal(err)
			}
			want := mergeModel(have, change)
			var got any
			if merged != nil {
				if err := json.Unmarshal(merged, &got); err != nil {
					t.Fatalf("%s: %v", merged, err)
				}
			}
			if !reflect.DeepEqual(got, want) || changed != !reflect.DeepEqual(have, want) {
				t.Fatalf("MergeJSON(%s, %s) = %s, %v; want %v", stored, c, merged, changed, want)
			}
			if _, again, _ := MergeJSON(merged, c); again {
				t.Fatalf("merging %s twice changes %s", c, merged)
			}
			stored, have = merged, got
		}
	})
}

func mergeModel(old, change any) any {
	switch c := change.(type) {
	case nil:
		return old
	case string:
		if c == Clear {
			return nil
		}
	case map[string]any:
		o, _ := old.(map[string]any)
		m := maps.Clone(o)
		for k, v := range c {
			if v == nil {
				continue
			}
			if m == nil {
				m = map[string]any{}
			}
			if m[k] = v; v == Clear {
				delete(m, k)
			}
		}
		if len(m) == 0 {
			return nil
		}
		return m
	}
	return change
}
