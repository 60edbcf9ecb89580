package bolt

import (
	"bytes"
	"iter"
	"slices"
	"time"

	"parley/protocol"
	"parley/store"
)

// File implements store.Files.
func (x *tx) File(id string) (*store.File, error) {
	f, err := record[store.File](x, bktFiles, key(id))
	if err != nil {
		return nil, err
	}
	f.Uses = 0
	for range all(x.bucket(bktUses), prefixOf(id)) {
		f.Uses++
	}
	return f, nil
}

// PutFile implements store.Files.
func (x *tx) PutFile(f *store.File) error {
	was, err := orNil(record[store.File](x, bktFiles, key(f.ID)))
	if err != nil {
		return err
	}
	if was == nil {
		err = x.grow()
	} else if was.User != f.User {
		err = x.del(bktFilesOf, key(string(was.User), f.ID))
	}
	if err != nil {
		return err
	}
	if err := x.put(bktFilesOf, key(string(f.User), f.ID), nothing); err != nil {
		return err
	}
	kept := *f
	kept.Uses = 0
	return x.putRecord(bktFiles, key(f.ID), &kept)
}

// DeleteFile implements store.Files.
func (x *tx) DeleteFile(id string) error {
	f, err := record[store.File](x, bktFiles, key(id))
	if err != nil {
		return err
	}
	refs, err := collect(suffixes(x.bucket(bktUses), prefixOf(id)))
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if err := x.unlink(store.Ref(ref), id); err != nil {
			return err
		}
	}
	if err := x.del(bktFilesOf, key(string(f.User), id)); err != nil {
		return err
	}
	return x.del(bktFiles, key(id))
}

func (x *tx) unlink(r store.Ref, id string) error {
	if err := x.del(bktLinks, linkKey(r, id)); err != nil {
		return err
	}
	return x.del(bktUses, useKey(id, r))
}

// SetLinks implements store.FileUses.
func (x *tx) SetLinks(r store.Ref, ids []string) error {
	old, err := collect(suffixes(x.bucket(bktLinks), linkKey(r, "")))
	if err != nil {
		return err
	}
	for _, id := range old {
		if !slices.Contains(ids, id) {
			if err := x.unlink(r, id); err != nil {
				return err
			}
		}
	}
	for _, id := range ids {
		if slices.Contains(old, id) || x.bucket(bktFiles).Get(key(id)) == nil {
			continue
		}
		if err := x.put(bktLinks, linkKey(r, id), nothing); err != nil {
			return err
		}
		if err := x.put(bktUses, useKey(id, r), nothing); err != nil {
			return err
		}
	}
	return nil
}

// unlinkAll ends the links whose keys have a prefix.
func (x *tx) unlinkAll(prefix []byte) error {
	for k := range all(x.bucket(bktLinks), prefix) {
		i := bytes.LastIndex(k, []byte(linkSeparator))
		if err := x.unlink(store.Ref(k[:i]), string(k[i+len(linkSeparator):])); err != nil {
			return err
		}
	}
	return nil
}

// Unused implements store.FileUses.
func (x *tx) Unused(before time.Time) iter.Seq2[*store.File, error] {
	return func(yield func(*store.File, error) bool) {
		for f, err := range records(all(x.bucket(bktFiles), nil), decodeNew[store.File]) {
			if err == nil && (!f.Created.Before(before) || x.used(f.ID)) {
				continue
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

func (x *tx) used(id string) bool {
	for range all(x.bucket(bktUses), prefixOf(id)) {
		return true
	}
	return false
}

// FilesOf implements store.FileUses.
func (x *tx) FilesOf(u protocol.UserID) iter.Seq2[*store.File, error] {
	prefix := prefixOf(string(u))
	return records(all(x.bucket(bktFilesOf), prefix), func(k, _ []byte) (*store.File, error) {
		return x.File(string(k[len(prefix):]))
	})
}
