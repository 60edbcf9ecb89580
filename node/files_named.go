package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"parley/protocol"
	"parley/store"
)

// Files of other nodes have a record here, too, once a message or card of our users
// names them: none others are fetched. Its id is "<node>/<id>". Links keep it as they
// keep a file of ours; without any it is forgotten after a while, with what was
// fetched.

// maxNamed bounds how many files of other nodes one message or card is taken to name.
const maxNamed = 32

// abroadID is the id of the record of another node's file.
func abroadID(home protocol.Node, id string) string { return string(home) + "/" + id }

// isAbroad reports whether a record is of another node's file.
func isAbroad(id string) bool { return strings.Contains(id, "/") }

// blobID is where the bytes of a file are kept.
func blobID(id string) string {
	if !isAbroad(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// namedFiles finds the files of other nodes that are named in JSON, in whatever place:
// strings that are references as nodes give them, with the node.
func namedFiles(home protocol.Node, text []byte) []string {
	if !bytes.Contains(text, []byte(filePrefix)) {
		return nil
	}
	var doc any
	if json.Unmarshal(text, &doc) != nil {
		return nil
	}
	var ids []string
	eachString(doc, func(s string) {
		if id, ok := namedFile(home, s); ok && len(ids) < maxNamed && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	})
	return ids
}

func namedFile(home protocol.Node, ref string) (string, bool) {
	ref, ok := strings.CutPrefix(ref, filePrefix)
	if !ok {
		return "", false
	}
	ref, _, _ = strings.Cut(ref, "?")
	at, name, qualified := strings.Cut(ref, "/")
	if !qualified {
		return "", false
	}
	node, err := protocol.ParseNode(at)
	id, good := ParseFileName(name)
	return abroadID(node, id), good && err == nil && node != home
}

// eachString calls f for the strings in a decoded document.
func eachString(v any, f func(string)) {
	switch v := v.(type) {
	case string:
		f(v)
	case []any:
		for _, e := range v {
			eachString(e, f)
		}
	case map[string]any:
		for _, e := range v {
			eachString(e, f)
		}
	}
}

// useFiles makes ids the files that ref uses.
func useFiles(tx store.Tx, ref store.Ref, ids []string, now time.Time) error {
	if err := nameFiles(tx, ids, now); err != nil {
		return err
	}
	return tx.SetLinks(ref, ids)
}

// nameFiles makes the records of other nodes' files that have none yet.
func nameFiles(tx store.Files, ids []string, now time.Time) error {
	for _, id := range ids {
		if !isAbroad(id) {
			continue
		}
		_, err := tx.File(id)
		if errors.Is(err, store.ErrNotFound) {
			err = tx.PutFile(&store.File{ID: id, Size: bytesAbsent, Created: now})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// filesOf are all files that a message puts to use: those of ours that its client
// says, and those of other nodes that it names, unless the author is a stranger.
func (r *room) filesOf(p *pending) []string {
	if r.n.cfg.Network == nil || r.fromStranger(p.m.From) {
		return p.q.files
	}
	return append(slices.Clone(p.q.files), namedFiles(r.n.name, p.m.Content)...)
}

// useNamed makes the files of other nodes that a message of a replica names those which
// it uses.
func (r *room) useNamed(tx store.Tx, m *store.Message) error {
	ids := namedFiles(r.n.name, m.Content)
	if len(ids) == 0 {
		return nil
	}
	return useFiles(tx, store.RefMessage(r.t.id, m.Seq), ids, m.TS)
}

// fromStranger reports whether an author is a user of another node whom ours has not
// answered: nothing of such a one is fetched.
func (r *room) fromStranger(from protocol.UserID) bool {
	if r.n.other(r.t.id) == "" || !r.n.remote(from) {
		return false
	}
	mine := r.members[r.t.id.Peer(from)]
	return mine == nil || !mine.sub.Want.Has(protocol.Write)
}

// answered names the files of one who was a stranger till now: those of the messages
// that came so far, and the picture.
func (r *room) answered(tx store.Tx, stranger protocol.UserID) error {
	for m, err := range tx.History(r.t.id, 1, r.head.Seq+1) {
		if err != nil {
			return err
		}
		ids := namedFiles(r.n.name, m.Content)
		if m.From != stranger || len(ids) == 0 {
			continue
		}
		if err := useFiles(tx, store.RefMessage(r.t.id, m.Seq), ids, r.n.wall()); err != nil {
			return err
		}
	}
	u, err := tx.User(stranger)
	if err != nil {
		return err
	}
	return usePicture(tx, u, r.n.wall())
}

// showFace names the picture of a remote user, if somebody here knows that one.
func showFace(tx store.Tx, u *store.User, now time.Time) error {
	for s, err := range tx.SubsOf(u.ID) {
		if err != nil {
			return err
		}
		if s.Topic.Kind() != protocol.KindP2P {
			return usePicture(tx, u, now)
		}
		mine, err := tx.Sub(s.Topic, s.Topic.Peer(u.ID))
		if err == nil && mine.Live() && mine.Want.Has(protocol.Write) {
			return usePicture(tx, u, now)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// usePicture makes the files of the own node that a remote user's card names those
// which the card uses.
func usePicture(tx store.Tx, u *store.User, now time.Time) error {
	return useFiles(tx, store.RefUser(u.ID), pictures(u.ID.Node(), u.Public), now)
}

// pictures are the files in a card that are of the node it is from.
func pictures(from protocol.Node, public []byte) []string {
	return slices.DeleteFunc(namedFiles("", public), func(id string) bool {
		return !strings.HasPrefix(id, string(from)+"/")
	})
}

// offerFiles names the picture of somebody whom a user has found on another node.
// Unless a conversation comes of it, it is soon forgotten.
func (n *Node) offerFiles(at protocol.Node, public []byte) error {
	ids := pictures(at, public)
	if len(ids) == 0 {
		return nil
	}
	return n.store.Update(func(tx store.Tx) error { return nameFiles(tx, ids, n.wall()) })
}
