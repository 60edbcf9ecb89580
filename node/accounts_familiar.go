package node

import (
	"container/list"
	"sync"

	"parley/protocol"
)

// maxFamiliar bounds how many pairs of user and address are remembered; the one not
// seen for the longest is forgotten first.
const maxFamiliar = 1 << 16

// familiar are the addresses from which users have come in. Wrong passwords from
// elsewhere do not slow a user down there: else anybody could keep others out.
type familiar struct {
	mu    sync.Mutex
	at    map[acquaintance]*list.Element
	order *list.List // of acquaintance, most recently seen first
}

type acquaintance struct {
	user protocol.UserID
	addr string // as of addressKey
}

func newFamiliar() *familiar {
	return &familiar{at: map[acquaintance]*list.Element{}, order: list.New()}
}

// greet remembers that u came in from addr; an unknown address is passed over.
func (f *familiar) greet(u protocol.UserID, addr string) {
	if addr == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	who := acquaintance{u, addr}
	if e := f.at[who]; e != nil {
		f.order.MoveToFront(e)
		return
	}
	if f.order.Len() >= maxFamiliar {
		delete(f.at, f.order.Remove(f.order.Back()).(acquaintance))
	}
	f.at[who] = f.order.PushFront(who)
}

func (f *familiar) knows(u protocol.UserID, addr string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at[acquaintance{u, addr}] != nil
}
