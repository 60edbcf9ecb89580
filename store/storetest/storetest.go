// Package storetest proves that an engine keeps the contract of package store, and
// lends the tests of others stores that misbehave.
package storetest

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"reflect"
	"testing"
	"time"

	"parley/protocol"
	"parley/store"
)

// Long reports whether tests may take minutes.
func Long() bool { return os.Getenv("PARLEY_LONG") != "" }

// Run holds the stores that open makes, each new and empty, against the contract:
// as they are, and with every update run twice.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	all(t, open)
	t.Run("twice", func(t *testing.T) {
		all(t, func(t *testing.T) store.Store { return Twice(open(t)) })
	})
}

func all(t *testing.T, open func(t *testing.T) store.Store) {
	for _, group := range []map[string]func(*box){
		storeCases, userCases, topicCases, messageCases, fileCases, postCases, laneCases, peerCases,
	} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(&box{t, open(t)})
			})
		}
	}
	t.Run("model", func(t *testing.T) { model(t, open) })
}

// The nodes of the suite: the names of some begin with those of others, so that an
// engine that looks for what merely begins alike is found out.
const (
	home   protocol.Node = "chat.example"
	longer protocol.Node = "chat.example.org"
	peer   protocol.Node = "far.example"
)

var (
	alice = protocol.NewUserID(1, home)
	alia  = protocol.NewUserID(1, longer)
	bob   = protocol.NewUserID(2, home)
	carol = protocol.NewUserID(3, peer)

	group  = protocol.NewGroupID(1, home)
	group2 = protocol.NewGroupID(1, longer)
	pair   = protocol.P2P(alice, bob)

	day = time.Date(2026, time.March, 4, 5, 6, 7, 89_000_000, time.UTC)
)

// box is a store under test. Functions given to update return errors and never end
// the test, since they need not run on its goroutine.
type box struct {
	*testing.T
	s store.Store
}

// update must succeed.
func (b *box) update(fn func(store.Tx) error) {
	b.Helper()
	if err := b.s.Update(fn); err != nil {
		b.Fatalf("update: %v", err)
	}
}

// refused must fail with an error that wraps want; nil: with any.
func (b *box) refused(want error, fn func(store.Tx) error) {
	b.Helper()
	switch err := b.s.Update(fn); {
	case err == nil:
		b.Errorf("the update succeeded; want %v", want)
	case want != nil && !errors.Is(err, want):
		b.Errorf("the update failed with %v; want %v", err, want)
	}
}

// view must succeed.
func (b *box) view(fn func(store.Tx) error) {
	b.Helper()
	if err := b.s.View(fn); err != nil {
		b.Fatalf("view: %v", err)
	}
}

// equal compares what a look-up returned.
func equal[T any](b *box, what string, got T, err error, want T) {
	b.Helper()
	switch {
	case err != nil:
		b.Errorf("%s: %v", what, err)
	case !same(reflect.ValueOf(got), reflect.ValueOf(want)):
		b.Errorf("%s: got %s, want %s", what, show(got), show(want))
	}
}

// missing wants ErrNotFound of a look-up.
func missing[T any](b *box, what string, _ T, err error) {
	b.Helper()
	if !errors.Is(err, store.ErrNotFound) {
		b.Errorf("%s: error %v, want ErrNotFound", what, err)
	}
}

// collect takes all that an iterator yields.
func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var out []T
	for v, err := range seq {
		if err != nil {
			return out, err
		}
		out = append(out, v)
	}
	return out, nil
}

// listed compares what an iterator yields.
func listed[T any](b *box, what string, seq iter.Seq2[T, error], want ...T) {
	b.Helper()
	got, err := collect(seq)
	equal(b, what, got, err, want)
}

// same is deep equality of records, to which times are equal that are the same
// instant, and nothing equals what is empty.
func same(a, b reflect.Value) bool {
	if a.IsValid() != b.IsValid() {
		return false
	}
	if !a.IsValid() {
		return true
	}
	if t, ok := a.Interface().(time.Time); ok {
		return t.Equal(b.Interface().(time.Time))
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return same(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if !same(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(a.Interface(), b.Interface())
	}
}

// show writes records, also those behind pointers, but no more than one can read.
func show(v any) string {
	const enough = 600
	s := format(v)
	if len(s) > enough {
		s = s[:enough] + "…"
	}
	return s
}

func format(v any) string {
	r := reflect.ValueOf(v)
	if !r.IsValid() {
		return "nothing"
	}
	switch r.Kind() {
	case reflect.Slice:
		if _, raw := v.([]byte); raw {
			return fmt.Sprintf("%q", v)
		}
		s := "["
		for i := range r.Len() {
			s += format(r.Index(i).Interface()) + "; "
		}
		return s + "]"
	case reflect.Pointer:
		if !r.IsNil() {
			return fmt.Sprintf("%+v", r.Elem().Interface())
		}
	}
	return fmt.Sprintf("%+v", v)
}

// spoil changes all that can be changed in a record.
func spoil(v any) { spoilValue(reflect.ValueOf(v).Elem()) }

func spoilValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				spoilValue(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			spoilValue(v.Index(i))
		}
	case reflect.String:
		v.SetString(v.String() + "spoilt")
	case reflect.Uint8:
		v.SetUint(v.Uint() ^ 0x55)
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 77)
	}
}
