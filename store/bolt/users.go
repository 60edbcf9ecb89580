package bolt

import (
	"iter"
	"slices"

	"parley/protocol"
	"parley/store"
)

// User implements store.Users.
func (x *tx) User(u protocol.UserID) (*store.User, error) {
	return record[store.User](x, bktUsers, key(string(u)))
}

// PutUser implements store.Users.
func (x *tx) PutUser(u *store.User) error {
	was, err := orNil(x.User(u.ID))
	if err != nil {
		return err
	}
	if was == nil {
		if err := x.grow(); err != nil {
			return err
		}
	}
	if err := x.retag(string(u.ID), findable(was), findable(u)); err != nil {
		return err
	}
	return x.putRecord(bktUsers, key(string(u.ID)), u)
}

// findable are the tags by which a user, or nil, is found.
func findable(u *store.User) []string {
	if u == nil || u.State != store.StateOK {
		return nil
	}
	return u.Tags
}

// retag brings the index of tags up to date.
func (x *tx) retag(id string, old, now []string) error {
	for _, t := range old {
		if !slices.Contains(now, t) {
			if err := x.del(bktTags, key(t, id)); err != nil {
				return err
			}
		}
	}
	for _, t := range now {
		if !slices.Contains(old, t) {
			if err := x.put(bktTags, key(t, id), nothing); err != nil {
				return err
			}
		}
	}
	return nil
}

// AllUsers implements store.Users.
func (x *tx) AllUsers() iter.Seq2[*store.User, error] {
	return records(all(x.bucket(bktUsers), nil), decodeNew[store.User])
}

// Seen implements store.Users.
func (x *tx) Seen(u protocol.UserID) (store.Seen, error) {
	s, err := record[store.Seen](x, bktSeen, key(string(u)))
	if err != nil {
		return store.Seen{}, err
	}
	return *s, nil
}

// PutSeen implements store.Users.
func (x *tx) PutSeen(u protocol.UserID, s store.Seen) error {
	return x.putRecord(bktSeen, key(string(u)), &s)
}

// Tagged implements store.Users.
func (x *tx) Tagged(tag string) iter.Seq2[string, error] {
	return suffixes(x.bucket(bktTags), prefixOf(tag))
}

// Login implements store.Logins.
func (x *tx) Login(scheme, name string) (*store.Login, error) {
	return record[store.Login](x, bktLogins, key(scheme, name))
}

// LoginOf implements store.Logins.
func (x *tx) LoginOf(scheme string, u protocol.UserID) (*store.Login, error) {
	name := x.bucket(bktLoginOf).Get(key(string(u), scheme))
	if name == nil {
		return nil, store.ErrNotFound
	}
	return x.Login(scheme, string(name))
}

// PutLogin implements store.Logins.
func (x *tx) PutLogin(l *store.Login) error {
	other, err := orNil(x.Login(l.Scheme, l.Name))
	if err != nil {
		return err
	}
	if other != nil && other.User != l.User {
		return store.ErrExists
	}
	of := key(string(l.User), l.Scheme)
	if old := x.bucket(bktLoginOf).Get(of); old != nil && string(old) != l.Name {
		if err := x.del(bktLogins, key(l.Scheme, string(old))); err != nil {
			return err
		}
	}
	if err := x.put(bktLoginOf, of, []byte(l.Name)); err != nil {
		return err
	}
	return x.putRecord(bktLogins, key(l.Scheme, l.Name), l)
}

// DeleteLogins implements store.Logins.
func (x *tx) DeleteLogins(u protocol.UserID) error {
	prefix := prefixOf(string(u))
	for k, name := range all(x.bucket(bktLoginOf), prefix) {
		if err := x.del(bktLogins, key(string(k[len(prefix):]), string(name))); err != nil {
			return err
		}
	}
	return x.wipe(bktLoginOf, prefix)
}

// Credential implements store.Credentials.
func (x *tx) Credential(u protocol.UserID, method, value string) (*store.Credential, error) {
	return record[store.Credential](x, bktCreds, key(string(u), method, value))
}

// CredentialsOf implements store.Credentials.
func (x *tx) CredentialsOf(u protocol.UserID) iter.Seq2[*store.Credential, error] {
	return records(all(x.bucket(bktCreds), prefixOf(string(u))), decodeNew[store.Credential])
}

// Confirmed implements store.Credentials.
func (x *tx) Confirmed(method, value string) (protocol.UserID, error) {
	u := x.bucket(bktConfirmed).Get(key(method, value))
	if u == nil {
		return "", store.ErrNotFound
	}
	return protocol.UserID(u), nil
}

// PutCredential implements store.Credentials.
func (x *tx) PutCredential(c *store.Credential) error {
	k := key(c.Method, c.Value)
	owner := protocol.UserID(x.bucket(bktConfirmed).Get(k))
	var err error
	switch {
	case c.Done && owner != "" && owner != c.User:
		return store.ErrExists
	case c.Done:
		err = x.put(bktConfirmed, k, []byte(c.User))
	case owner == c.User:
		err = x.del(bktConfirmed, k)
	}
	if err != nil {
		return err
	}
	return x.putRecord(bktCreds, key(string(c.User), c.Method, c.Value), c)
}

// DeleteCredential implements store.Credentials.
func (x *tx) DeleteCredential(u protocol.UserID, method, value string) error {
	k := key(method, value)
	if owner := x.bucket(bktConfirmed).Get(k); string(owner) == string(u) {
		if err := x.del(bktConfirmed, k); err != nil {
			return err
		}
	}
	return x.del(bktCreds, key(string(u), method, value))
}
