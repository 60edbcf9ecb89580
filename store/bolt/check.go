package bolt

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"parley/protocol"
	"parley/store"
)

// maxFaults is how many faults a check tells.
const maxFaults = 20

// Check reads the whole file at path, which must not be in use (ErrInUse), and tells
// what is wrong with it: broken pages, records that cannot be read, indexes and
// numbers that disagree. Of a file of an older schema it reads the pages only.
func Check(path string) error {
	if err := checkPages(path); err != nil {
		return err
	}
	b, err := openBolt(path, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return err
	}
	m, err := describe(b)
	if err == nil && m.Schema == Schema {
		err = checkRecords(b, m.Node)
	}
	return errors.Join(err, b.Close())
}

// checkPages has bbolt look at every page.
func checkPages(path string) error {
	if err := checkLength(path); err != nil {
		return err
	}
	b, err := openBolt(path, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return err
	}
	var found []error
	err = b.View(func(t *bbolt.Tx) error {
		for err := range t.Check() {
			found = append(found, err)
		}
		return nil
	})
	if len(found) > 0 {
		err = damaged(errors.Join(found[:min(len(found), maxFaults)]...))
	}
	return errors.Join(err, b.Close())
}

// checkRecords verifies what the store promises of its records.
func checkRecords(b *bbolt.DB, home protocol.Node) error {
	return b.View(func(t *bbolt.Tx) error {
		c := &checker{x: &tx{t: t}, home: home}
		for _, name := range buckets {
			if t.Bucket(name) == nil {
				return fmt.Errorf("store: no bucket %q", name)
			}
		}
		for _, check := range []func(){c.users, c.tags, c.logins, c.credentials, c.subs, c.topics, c.marks, c.names,
			c.hidden, c.files, c.links, c.posts, c.inbox, c.followers} {
			check()
		}
		return errors.Join(c.faults...)
	})
}

// checker collects faults.
type checker struct {
	x      *tx
	home   protocol.Node
	faults []error
}

func (c *checker) fault(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Errorf("store: "+format, args...))
	}
}

// want says that a key must be there.
func (c *checker) want(bucket, key []byte, why string) {
	if c.x.bucket(bucket).Get(key) == nil {
		c.fault("%s: %s lacks %q", why, bucket, key)
	}
}

// ok reports whether there is no error.
func (c *checker) ok(err error, what string) bool {
	if err != nil {
		c.fault("%s: %w", what, err)
	}
	return err == nil
}

func (c *checker) users() {
	for u, err := range c.x.AllUsers() {
		if !c.ok(err, "users") {
			return
		}
		for _, tag := range findable(u) {
			c.want(bktTags, key(tag, string(u.ID)), "tag of a user")
		}
	}
	for s, err := range records(all(c.x.bucket(bktSeen), nil), decodeNew[store.Seen]) {
		if !c.ok(err, "last seen") || s == nil {
			return
		}
	}
}

func (c *checker) tags() {
	for t, err := range c.x.AllTopics() {
		if !c.ok(err, "topics") {
			return
		}
		for _, tag := range t.Tags {
			c.want(bktTags, key(tag, string(t.ID)), "tag of a topic")
		}
	}
	for k := range all(c.x.bucket(bktTags), nil) {
		parts := split(k, 2)
		if len(parts) != 2 {
			c.fault("key %q of a tag", k)
			continue
		}
		if !slices.ContainsFunc(c.tagsOf(parts[1]), func(tag string) bool { return string(key(tag)) == parts[0] }) {
			c.fault("%s is found by tag %q and does not bear it", parts[1], parts[0])
		}
	}
}

func (c *checker) tagsOf(id string) []string {
	if u, err := c.x.User(protocol.UserID(id)); err == nil {
		return findable(u)
	}
	if t, err := c.x.Topic(protocol.TopicID(id)); err == nil {
		return t.Tags
	}
	return nil
}

func (c *checker) logins() {
	n := 0
	for l, err := range records(all(c.x.bucket(bktLogins), nil), decodeNew[store.Login]) {
		if !c.ok(err, "logins") {
			return
		}
		n++
		if name := c.x.bucket(bktLoginOf).Get(key(string(l.User), l.Scheme)); string(name) != l.Name {
			c.fault("login of %s by %s is not found from the user", l.User, l.Scheme)
		}
	}
	c.count(bktLoginOf, n)
}

// count says how many entries an index must have.
func (c *checker) count(bucket []byte, want int) {
	n := 0
	for range all(c.x.bucket(bucket), nil) {
		n++
	}
	if n != want {
		c.fault("index %s has %d entries for %d", bucket, n, want)
	}
}

func (c *checker) credentials() {
	done := 0
	for cr, err := range records(all(c.x.bucket(bktCreds), nil), decodeNew[store.Credential]) {
		if !c.ok(err, "credentials") {
			return
		}
		if !cr.Done {
			continue
		}
		done++
		if u, err := c.x.Confirmed(cr.Method, cr.Value); err != nil || u != cr.User {
			c.fault("a confirmed address of %s is not found", cr.User)
		}
	}
	c.count(bktConfirmed, done)
}

func (c *checker) subs() {
	n := 0
	for s, err := range records(all(c.x.bucket(bktSubs), nil), decodeNew[store.Sub]) {
		if !c.ok(err, "subscriptions") {
			return
		}
		n++
		c.want(bktSubsOf, key(string(s.User), string(s.Topic)), "subscription")
	}
	c.count(bktSubsOf, n)
}

// files verifies the index by owner.
func (c *checker) files() {
	n := 0
	for f, err := range records(all(c.x.bucket(bktFiles), nil), decodeNew[store.File]) {
		if !c.ok(err, "files") {
			return
		}
		n++
		c.want(bktFilesOf, key(string(f.User), f.ID), "file")
	}
	c.count(bktFilesOf, n)
}

func (c *checker) links() {
	n := 0
	for k := range all(c.x.bucket(bktUses), nil) {
		parts := split(k, 2)
		if len(parts) != 2 {
			c.fault("key %q of a use", k)
			continue
		}
		n++
		c.want(bktFiles, key(parts[0]), "use of a file")
		c.want(bktLinks, linkKey(store.Ref(parts[1]), parts[0]), "use of a file")
	}
	c.count(bktLinks, n)
}

func (c *checker) followers() {
	if c.x.bucket(bktFollowers) == nil || c.x.bucket(bktFollowedBy) == nil {
		return // a file of an earlier release
	}
	n := 0
	for f, err := range records(all(c.x.bucket(bktFollowers), nil), decodeNew[store.Follower]) {
		if !c.ok(err, "followers") {
			return
		}
		n++
		c.want(bktFollowedBy, key(string(f.Node), string(f.Topic)), "follower")
	}
	c.count(bktFollowedBy, n)
}
