package node

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"parley/protocol"
)

// uploadLimits bound what is uploaded. Somebody without an account may bring the
// picture of one that is about to be made: few and small files from an address, and
// no more bytes of all such guests together than the disk is meant to hold for them.
type uploadLimits struct {
	users, guests *quota
	// bytes lets guests have half of Limits.GuestBytes at once and the other half
	// while a file lives that nothing uses: no more than all is there at any time.
	bytes *rate.Limiter
}

func newUploadLimits(cfg *Config) *uploadLimits {
	l, half := &cfg.Limits, cfg.Limits.GuestBytes/2
	life := cfg.UnusedFiles + 2*janitorPeriod
	return &uploadLimits{
		users:  newQuota(l.UploadRate, l.UploadBurst),
		guests: newQuota(l.GuestRate, l.GuestBurst),
		bytes:  rate.NewLimiter(rate.Limit(float64(half)/life.Seconds()), int(half)),
	}
}

// mayUpload refuses an upload before it is read, and gives the bytes that it may have.
func (n *Node) mayUpload(up *Upload) (limit int64, err error) {
	now := time.Now()
	switch {
	case up.Who.User != "":
		if !n.uploads.users.allow(now, string(up.Who.User)) {
			return 0, protocol.TooMany
		}
		return n.cfg.Limits.MaxFile, nil
	case n.cfg.Closed:
		return 0, protocol.Unauthorized
	case !n.uploads.guests.allow(now, n.accounts.addressKey(up.From)):
		return 0, protocol.TooMany
	}
	return min(n.cfg.Limits.MaxFile, n.cfg.Limits.MaxGuestFile), nil
}

// guestHasRoom refuses what a guest has sent if there is too much of all guests.
func (n *Node) guestHasRoom(size int64) error {
	if !n.uploads.bytes.AllowN(time.Now(), int(size)) {
		return protocol.TooMany
	}
	return nil
}

// exports bound what other nodes take of our files.
type exports struct {
	units *quota

	mu   sync.Mutex
	busy map[protocol.Node]int
}

func newExports() *exports {
	return &exports{units: newQuota(exportRate, exportBurst), busy: map[protocol.Node]int{}}
}

// take lets a node have one more file at a time, until free is called.
func (x *exports) take(by protocol.Node) (free func(), ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.busy[by] >= exportsEach {
		return nil, false
	}
	x.busy[by]++
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.busy[by]--; x.busy[by] == 0 {
			delete(x.busy, by)
		}
	}, true
}
