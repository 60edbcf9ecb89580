package bolt

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"time"

	"parley/protocol"
	"parley/store"
)

// File implements store.Files.
func (x *tx) File(id string) (*store.File, error) {
	f, err := get[store.File](x.bucket(bktFiles), key(id))
	if err != nil {
		return nil, err
	}
	f.Uses = 0
	scan(x.bucket(bktUses), prefixOf(id), func(_, _ []byte) bool {
		f.Uses++
		return true
	})
	return f, nil
}

// PutFile implements store.Files.
func (x *tx) PutFile(f *store.File) error {
	old, err := get[store.File](x.bucket(bktFiles), key(f.ID))
	switch {
	case err == nil:
		err = x.bucket(bktFilesOf).Delete(key(string(old.User), f.ID))
	case errors.Is(err, store.ErrNotFound):
		err = nil
	}
	if err = errors.Join(err, x.bucket(bktFilesOf).Put(key(string(f.User), f.ID), nothing)); err != nil {
		return err
	}
	kept := *f
	kept.Uses = 0 // counted when it is read
	return putRecord(x.bucket(bktFiles), key(f.ID), &kept)
}

// DeleteFile implements store.Files.
func (x *tx) DeleteFile(id string) error {
	f, err := x.File(id)
	if err != nil {
		return err
	}
	var refs []string
	for ref, err := range suffixes(x.bucket(bktUses), prefixOf(id)) {
		if err != nil {
			return err
		}
		refs = append(refs, ref)
	}
	for _, ref := range refs {
		err = errors.Join(err, x.unlink(store.Ref(ref), id))
	}
	return errors.Join(err, x.bucket(bktFilesOf).Delete(key(string(f.User), id)), x.bucket(bktFiles).Delete(key(id)))
}

// A link's key is the ref, a separator that no ref contains at its end, and the
// file; refs end in a fixed number of bytes or in a name.
const linkSeparator = "\x00\x00\x00"

func linkKey(r store.Ref, id string) []byte { return []byte(string(r) + linkSeparator + id) }

func (x *tx) unlink(r store.Ref, id string) error {
	return errors.Join(x.bucket(bktLinks).Delete(linkKey(r, id)), x.bucket(bktUses).Delete(key(id, string(r))))
}

// SetLinks implements store.FileUses.
func (x *tx) SetLinks(r store.Ref, ids []string) error {
	prefix := linkKey(r, "")
	var old []string
	scan(x.bucket(bktLinks), prefix, func(k, _ []byte) bool {
		if id := string(k[len(prefix):]); !slices.Contains(ids, id) {
			old = append(old, id)
		}
		return true
	})
	for _, id := range old {
		if err := x.unlink(r, id); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if x.bucket(bktFiles).Get(key(id)) == nil {
			continue
		}
		if err := x.bucket(bktLinks).Put(linkKey(r, id), nothing); err != nil {
			return err
		}
		if err := x.bucket(bktUses).Put(key(id, string(r)), nothing); err != nil {
			return err
		}
	}
	return nil
}

// unlinkAll ends the links of every ref with a prefix.
func (x *tx) unlinkAll(prefix []byte) error {
	type link struct{ ref, id string }
	var all []link
	scan(x.bucket(bktLinks), prefix, func(k, _ []byte) bool {
		i := bytes.LastIndex(k, []byte(linkSeparator))
		all = append(all, link{string(k[:i]), string(k[i+len(linkSeparator):])})
		return true
	})
	for _, l := range all {
		if err := x.unlink(store.Ref(l.ref), l.id); err != nil {
			return err
		}
	}
	return nil
}

// Unused implements store.FileUses.
func (x *tx) Unused(before time.Time) iter.Seq2[*store.File, error] {
	return func(yield func(*store.File, error) bool) {
		for f, err := range records[store.File](x.bucket(bktFiles), nil) {
			if err == nil && (!f.Created.Before(before) || x.used(f.ID)) {
				continue
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func (x *tx) used(id string) bool {
	prefix := prefixOf(id)
	k, _ := x.bucket(bktUses).Cursor().Seek(prefix)
	return bytes.HasPrefix(k, prefix)
}

// FilesOf implements store.FileUses.
func (x *tx) FilesOf(u protocol.UserID) iter.Seq2[*store.File, error] {
	return func(yield func(*store.File, error) bool) {
		for id, err := range suffixes(x.bucket(bktFilesOf), prefixOf(string(u))) {
			var f *store.File
			if err == nil {
				f, err = x.File(id)
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}
