package bolt

import (
	"errors"
	"iter"
	"slices"

	"parley/protocol"
	"parley/store"
)

// User implements store.Users.
func (x *tx) User(u protocol.UserID) (*store.User, error) {
	return get[store.User](x.bucket(bktUsers), key(string(u)))
}

// PutUser implements store.Users.
func (x *tx) PutUser(u *store.User) error {
	var old []string
	was, err := x.User(u.ID)
	switch {
	case err == nil:
		old = findable(was)
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if err := x.retag(string(u.ID), old, findable(u)); err != nil {
		return err
	}
	return putRecord(x.bucket(bktUsers), key(string(u.ID)), u)
}

// findable are the tags by which a user is found now.
func findable(u *store.User) []string {
	if u.State != store.StateOK {
		return nil
	}
	return u.Tags
}

// retag brings the index of tags up to date.
func (x *tx) retag(id string, old, now []string) error {
	b := x.bucket(bktTags)
	for _, t := range old {
		if !slices.Contains(now, t) {
			if err := b.Delete(key(t, id)); err != nil {
				return err
			}
		}
	}
	for _, t := range now {
		if !slices.Contains(old, t) {
			if err := b.Put(key(t, id), nothing); err != nil {
				return err
			}
		}
	}
	return nil
}

// AllUsers implements store.Users.
func (x *tx) AllUsers() iter.Seq2[*store.User, error] {
	return records[store.User](x.bucket(bktUsers), nil)
}

// Seen implements store.Users.
func (x *tx) Seen(u protocol.UserID) (store.Seen, error) {
	s, err := get[store.Seen](x.bucket(bktSeen), key(string(u)))
	if err != nil {
		return store.Seen{}, err
	}
	return *s, nil
}

// PutSeen implements store.Users.
func (x *tx) PutSeen(u protocol.UserID, s store.Seen) error {
	return putRecord(x.bucket(bktSeen), key(string(u)), &s)
}

// Tagged implements store.Users.
func (x *tx) Tagged(tag string) iter.Seq2[string, error] {
	return suffixes(x.bucket(bktTags), prefixOf(tag))
}

// Login implements store.Logins.
func (x *tx) Login(scheme, name string) (*store.Login, error) {
	return get[store.Login](x.bucket(bktLogins), key(scheme, name))
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
	other, err := x.Login(l.Scheme, l.Name)
	switch {
	case err == nil && other.User != l.User:
		return store.ErrExists
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	}
	old := x.bucket(bktLoginOf).Get(key(string(l.User), l.Scheme))
	if old != nil && string(old) != l.Name {
		if err := x.bucket(bktLogins).Delete(key(l.Scheme, string(old))); err != nil {
			return err
		}
	}
	if err := x.bucket(bktLoginOf).Put(key(string(l.User), l.Scheme), []byte(l.Name)); err != nil {
		return err
	}
	return putRecord(x.bucket(bktLogins), key(l.Scheme, l.Name), l)
}

// DeleteLogins implements store.Logins.
func (x *tx) DeleteLogins(u protocol.UserID) error {
	prefix := prefixOf(string(u))
	var err error
	scan(x.bucket(bktLoginOf), prefix, func(k, name []byte) bool {
		err = errors.Join(err, x.bucket(bktLogins).Delete(key(string(k[len(prefix):]), string(name))))
		return true
	})
	return errors.Join(err, wipe(x.bucket(bktLoginOf), prefix))
}

// Credential implements store.Credentials.
func (x *tx) Credential(u protocol.UserID, method, value string) (*store.Credential, error) {
	return get[store.Credential](x.bucket(bktCreds), key(string(u), method, value))
}

// CredentialsOf implements store.Credentials.
func (x *tx) CredentialsOf(u protocol.UserID) iter.Seq2[*store.Credential, error] {
	return records[store.Credential](x.bucket(bktCreds), prefixOf(string(u)))
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
	owner, err := x.Confirmed(c.Method, c.Value)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	b := x.bucket(bktConfirmed)
	switch {
	case c.Done && owner != "" && owner != c.User:
		return store.ErrExists
	case c.Done:
		err = b.Put(key(c.Method, c.Value), []byte(c.User))
	case owner == c.User:
		err = b.Delete(key(c.Method, c.Value))
	default:
		err = nil
	}
	if err != nil {
		return err
	}
	return putRecord(x.bucket(bktCreds), key(string(c.User), c.Method, c.Value), c)
}

// DeleteCredential implements store.Credentials.
func (x *tx) DeleteCredential(u protocol.UserID, method, value string) error {
	if owner, err := x.Confirmed(method, value); err == nil && owner == u {
		if err := x.bucket(bktConfirmed).Delete(key(method, value)); err != nil {
			return err
		}
	}
	return x.bucket(bktCreds).Delete(key(string(u), method, value))
}
