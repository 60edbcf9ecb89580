package reputation

import (
	"net/netip"
	"reflect"
	"testing"
)

func TestQuestionForm(t *testing.T) {
	v4, v6 := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/48")
	for _, c := range []struct {
		kind Kind
		of   netip.Prefix
		wire string
	}{
		{Carried, netip.Prefix{}, "\x01a.example"},
		{Told, netip.Prefix{}, "\x02\x00a.example"},
		{Told, v4, "\x02\x03\xc0\x00\x02a.example"},
		{Filed, v6, "\x03\x06\x20\x01\x0d\xb8\x00\x00a.example"},
	} {
		if got := EncodeQuestion(c.kind, c.of, []byte("a.example")); string(got) != c.wire {
			t.Errorf("%d %s is %q", c.kind, c.of, got)
		}
		if kind, of, about, err := ParseQuestion([]byte(c.wire)); err != nil || kind != c.kind || of != c.of || string(about) != "a.example" {
			t.Errorf("%q is %d %s %q, %v", c.wire, kind, of, about, err)
		}
	}
	if got := EncodeQuestion(Carried, v4, nil); string(got) != "\x01" {
		t.Errorf("a network is told to whom it belongs: %q", got)
	}
	if got := EncodeQuestion(Told, netip.MustParsePrefix("10.0.0.0/8"), nil); string(got) != "\x02\x00" {
		t.Errorf("a network of another size: %q", got)
	}
	for _, bad := range []string{"", "\x00\x00a", "\x04\x00a", "\x02", "\x02\x04abcd", "\x02\x03ab", "\x03\x06abcde", "\x02\x10abcdefghijklmnop"} {
		if kind, of, about, err := ParseQuestion([]byte(bad)); err == nil {
			t.Errorf("%q is %d %s %q", bad, kind, of, about)
		}
	}
}

func TestAnswerForm(t *testing.T) {
	want := Answer{Asked: 12}
	want.Near[0].Good, want.Near[0].Bad, want.Near[1].Good, want.Near[1].Bad = 1, 2, 3, 5
	for _, told := range []string{"", "statement"} {
		b := want.Encode([]byte(told))
		if string(b) != "\x0c\x01\x02\x03\x05"+told {
			t.Errorf("%q", b)
		}
		if got, back, err := ParseAnswer(b); err != nil || !reflect.DeepEqual(got, want) || string(back) != told {
			t.Errorf("%+v %q %v", got, back, err)
		}
	}
	for _, bad := range []string{"", "\x05", "\x05\x00\x00\x00", "\x0d\x00\x00\x00\x00", "\x05\x00\x00\x06\x00"} {
		if a, told, err := ParseAnswer([]byte(bad)); err == nil {
			t.Errorf("%q is %+v %q", bad, a, told)
		}
	}
}
