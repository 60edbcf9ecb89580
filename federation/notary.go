package federation

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"parley/protocol"
	"parley/store"
)

// Times of proofs.
const (
	proofLife = 24 * time.Hour // of one that was found, until it is looked for again
)

// NotaryConfig is what a Notary is made of; Store is needed.
type NotaryConfig struct {
	Store store.Store
	// DNS and Web are where keys are published; nil: not looked at.
	DNS, Web Register
	Rations  *Rations     // nil: those with default limits
	Static   []StaticPeer // of the settings
	// Closed: only peers that the operator has named are talked with.
	Closed bool
	Log    *slog.Logger   // nil: no log
	Clock  protocol.Clock // nil: the machine's
}

// StaticPeer is a peer as the settings have it.
type StaticPeer struct {
	Name  protocol.Node
	Key   ed25519.PublicKey // nil: not pinned
	Addrs []string          // host:port
}

// Notary proves names, and keeps in the store what it has seen of each (spec/naming.md#proof).
// It implements Prover. Its methods may be called at once.
type Notary struct {
	cfg    NotaryConfig
	self   protocol.Node
	static map[protocol.Node]*StaticPeer
}

var (
	_ Prover  = (*Notary)(nil)
	_ Learner = (*Notary)(nil)
)

// NewNotary makes one for the node of the store.
func NewNotary(cfg NotaryConfig) *Notary {
	n := &Notary{cfg: cfg, self: cfg.Store.Meta().Node, static: map[protocol.Node]*StaticPeer{}}
	n.cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Rations == nil {
		n.cfg.Rations = NewRations(RationLimits{})
	}
	for i := range cfg.Static {
		n.static[cfg.Static[i].Name] = &cfg.Static[i]
	}
	return n
}

// unproven makes an error of a Prover that says why.
func unproven(name protocol.Node, format string, args ...any) error {
	return fmt.Errorf("%w %s: %w", ErrUnproven, name, fmt.Errorf(format, args...))
}

// Prove implements Prover.
func (n *Notary) Prove(ctx context.Context, name protocol.Node, key ed25519.PublicKey) (Proof, error) {
	start := time.Now()
	proof, err := n.prove(ctx, name, key)
	text := ""
	if err == nil {
		text = fmt.Sprintf("%s is of %s, %s", Pin(key), name, proof)
	}
	Tell(ctx, start, "proof", text, err)
	return proof, err
}

func (n *Notary) prove(ctx context.Context, name protocol.Node, key ed25519.PublicKey) (Proof, error) {
	if name == n.self {
		return NoProof, unproven(name, "that is this node's own name")
	}
	p, err := n.known(ctx, name)
	if err != nil {
		return NoProof, err
	}
	if err := n.admissible(p, key); err != nil {
		return NoProof, err
	}
	if proof, done, err := n.byWord(p, key); done {
		if err == nil {
			err = n.keep(name, key, proof, nil)
		}
		return proof, err
	}
	if ScopeOf(name) != PublicScope {
		return NoProof, unproven(name, "nothing shows it: such names are proven by a pin only")
	}
	now := n.cfg.Clock.Now()
	if k := current(p, key, now); k != nil && bytes.Equal(p.Keys[0].Key, key) && now.Sub(p.Proven).Abs() < proofLife {
		return max(Proof(p.Proof), ByContinuity), nil
	}
	return n.byRegister(ctx, p, key)
}

// known is what is known of a node. That a stranger makes us remember one more is rationed.
func (n *Notary) known(ctx context.Context, name protocol.Node) (*store.Peer, error) {
	p, err := n.peer(name)
	if err == nil && p.First.IsZero() {
		done, err := n.cfg.Rations.Take(ctx, name)
		if err != nil {
			return nil, err
		}
		done()
	}
	return p, err
}

// peer is what is known of a node, or a new record.
func (n *Notary) peer(name protocol.Node) (*store.Peer, error) {
	p := &store.Peer{Name: name}
	err := n.cfg.Store.View(func(tx store.Tx) error {
		got, err := tx.Peer(name)
		if err == nil {
			p = got
		}
		return ignoreMissing(err)
	})
	return p, err
}

func ignoreMissing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Wants says why the operator does not want links with a node, whatever key it shows: ErrDenied.
func (n *Notary) Wants(name protocol.Node) error {
	p, err := n.peer(name)
	if err != nil {
		return err
	}
	return n.wants(p)
}

func (n *Notary) wants(p *store.Peer) error {
	_, static := n.static[p.Name]
	named := static || p.Access == store.AccessAllow || p.Pin != nil
	switch {
	case p.Access == store.AccessDeny:
		return fmt.Errorf("%w: %s: the operator does not want it", ErrDenied, p.Name)
	case n.cfg.Closed && !named:
		return fmt.Errorf("%w: %s: this node talks with those only that its operator has named", ErrDenied, p.Name)
	}
	return nil
}

// admissible says what speaks against a peer and key, whatever is for them.
func (n *Notary) admissible(p *store.Peer, key ed25519.PublicKey) error {
	if err := n.wants(p); err != nil {
		return err
	}
	if k := keyIn(p, key); k != nil && k.Revoked {
		return unproven(p.Name, "the key was revoked on %s", k.Until.UTC().Format(time.DateOnly))
	}
	return nil
}

// byWord judges by what needs no look-up: a name made from a key, or a pin. It reports
// whether that decides.
func (n *Notary) byWord(p *store.Peer, key ed25519.PublicKey) (Proof, bool, error) {
	now := n.cfg.Clock.Now()
	if own := KeyOf(p.Name); own != nil {
		if bytes.Equal(own, key) || follows(p, key, own, now) {
			return ByKeyName, true, nil
		}
		return NoProof, true, unproven(p.Name, "the name is made from another key, and no statement lets this one follow it")
	}
	pin := n.pin(p)
	if pin == nil {
		return NoProof, false, nil
	}
	old := keyIn(p, pin)
	retired := old != nil && !old.Until.IsZero() && !now.Before(old.Until.Add(overlap))
	switch {
	case bytes.Equal(pin, key) && !retired, follows(p, key, pin, now):
		return ByPin, true, nil
	case retired && bytes.Equal(pin, key):
		return NoProof, true, unproven(p.Name, "another key follows the one that the operator has pinned")
	}
	return NoProof, true, unproven(p.Name, "the operator has bound the name to %s", Pin(pin))
}

// pin is the key that the operator has bound the name to, or nil.
func (n *Notary) pin(p *store.Peer) ed25519.PublicKey {
	if p.Pin != nil {
		return p.Pin
	}
	if s, ok := n.static[p.Name]; ok {
		return s.Key
	}
	return nil
}

// keyIn is a key among those known of a peer, or nil.
func keyIn(p *store.Peer, key []byte) *store.PeerKey {
	for i := range p.Keys {
		if bytes.Equal(p.Keys[i].Key, key) {
			return &p.Keys[i]
		}
	}
	return nil
}

// current is a key that is known of a peer and in use, or nil.
func current(p *store.Peer, key []byte, now time.Time) *store.PeerKey {
	k := keyIn(p, key)
	if k == nil || k.Revoked || !k.Until.IsZero() && !now.Before(k.Until.Add(overlap)) {
		return nil
	}
	return k
}

// follows reports whether a key in use follows another, by statements, one after the other.
func follows(p *store.Peer, key, first []byte, now time.Time) bool {
	k := current(p, key, now)
	for range maxKeys {
		if k == nil || k.Revoked || k.Before == nil {
			return false
		}
		if bytes.Equal(k.Before, first) {
			return true
		}
		k = keyIn(p, k.Before)
	}
	return false
}

// finding is what the registers have said about a key.
type finding struct {
	proof   Proof    // the best
	against error    // what shows that the key is not of the name; it may be forged unless proven
	proven  bool     // against is
	missing []error  // why a register has not proven it
	failed  bool     // one of them may do so later
	keys    [][]byte // that are published next to it
}

// byRegister looks where the owner of the name publishes keys.
func (n *Notary) byRegister(ctx context.Context, p *store.Peer, key ed25519.PublicKey) (Proof, error) {
	done, err := n.cfg.Rations.Take(ctx, p.Name)
	if err != nil {
		return NoProof, err
	}
	defer done()
	var f finding
	n.consult(ctx, &f, "DNS", n.cfg.DNS, ByDNS, p.Name, key)
	if f.proof == NoProof && f.against == nil {
		n.consult(ctx, &f, "the web site", n.cfg.Web, ByWellKnown, p.Name, key)
	}
	return n.weigh(p, key, f)
}

// consult asks one register.
func (n *Notary) consult(ctx context.Context, f *finding, what string, r Register, proves Proof, name protocol.Node, key ed25519.PublicKey) {
	if r == nil {
		return
	}
	got, err := r.Published(ctx, name, key)
	switch {
	case err != nil:
		f.missing = append(f.missing, err)
		f.failed = f.failed || !errors.Is(err, ErrNothing) && !errors.Is(err, ErrMalformed)
	case !got.Has(key):
		f.against, f.proven = fmt.Errorf("%s names another key: %s", what, Pin(got.Keys[0])), got.Authentic
	case got.Authentic:
		f.proof = proves
	default:
		f.missing = append(f.missing, fmt.Errorf("%s names the key, but not authentically", what))
	}
	for _, k := range got.Keys {
		f.keys = append(f.keys, k)
	}
	for _, s := range got.Statements {
		if err := n.Learn(ctx, name, s); err != nil {
			n.cfg.Log.Debug("statement not believed", "peer", name, "err", err)
		}
	}
}

// weigh decides, after all that could be looked up was.
func (n *Notary) weigh(p *store.Peer, key ed25519.PublicKey, f finding) (Proof, error) {
	now := n.cfg.Clock.Now()
	if f.proven {
		return NoProof, errors.Join(unproven(p.Name, "%w", f.against), n.retire(p.Name, key))
	}
	if f.against != nil {
		return NoProof, unproven(p.Name, "%w", f.against)
	}
	if f.proof != NoProof && f.proof >= Proof(p.Proof) {
		return f.proof, n.keep(p.Name, key, f.proof, f.keys)
	}
	known := current(p, key, now)
	if known == nil { // the registers may have brought a statement just now
		if again, err := n.peer(p.Name); err != nil {
			return NoProof, err
		} else if known = current(again, key, now); known != nil {
			p = again
		}
	}
	if known != nil { // it has been proven, or follows one that was
		return ByContinuity, n.keep(p.Name, key, ByContinuity, nil)
	}
	if f.failed {
		return NoProof, fmt.Errorf("federation: cannot find out now whose key it is: %w", errors.Join(f.missing...))
	}
	if f.proof != NoProof {
		return NoProof, unproven(p.Name, "it is shown %s only, and the name was shown %s before", f.proof, Proof(p.Proof))
	}
	if len(p.Keys) > 0 {
		return NoProof, unproven(p.Name, "it had another key, %s, and nothing shows that it has changed: %w", Pin(p.Keys[0].Key), errors.Join(f.missing...))
	}
	return NoProof, unproven(p.Name, "nothing shows it: %w", errors.Join(f.missing...))
}
