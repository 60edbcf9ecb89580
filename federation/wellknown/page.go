package wellknown

import (
	"sync"
	"time"

	"parley/federation"
	"parley/protocol"
)

// pageRenewal is how old what we serve may get: statements in it expire, and a next key
// may be prepared.
const pageRenewal = 5 * time.Minute

// Page is what this node serves about itself.
type Page struct {
	name  protocol.Node
	id    *federation.Identity
	addrs []string

	mu   sync.Mutex
	text []byte    // guarded by mu
	made time.Time // guarded by mu
}

// NewPage makes the page of a node. The identity is for the page alone: it is loaded anew
// now and then. addrs are host:port where it is, if the DNS does not say.
func NewPage(name protocol.Node, id *federation.Identity, addrs []string) (*Page, error) {
	p := &Page{name: name, id: id, addrs: addrs}
	return p, p.renew(time.Now())
}

// Bytes is the text to serve.
func (p *Page) Bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.made).Abs() > pageRenewal {
		if p.id.Reload() != nil || p.renew(now) != nil {
			p.made = now // what was good is served on
		}
	}
	return p.text
}

func (p *Page) renew(now time.Time) error {
	said, err := p.id.Statements(p.name, now)
	if err != nil {
		return err
	}
	text, err := Encode(p.name, p.id.Public(), p.addrs, said)
	if err == nil {
		p.text, p.made = text, now
	}
	return err
}
