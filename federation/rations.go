package federation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"parley/protocol"
)

// What one source of connections is: as much as one party is commonly given.
const (
	sourceBits4 = 24
	sourceBits6 = 48
)

// Source is the network that an address counts as when sources are rationed: its /24, or
// /48 of IPv6. What is no address is one source.
func Source(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := sourceBits6
	if a.Is4() {
		bits = sourceBits4
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

type causeKey struct{}

// CausedBy marks what is done under the context as caused by whoever is at the address: a
// peer that is not proven yet. Without a mark it is caused by this node or its users.
func CausedBy(ctx context.Context, a netip.Addr) context.Context {
	return context.WithValue(ctx, causeKey{}, a)
}

// causeOf returns who is the cause, and whether it is somebody else.
func causeOf(ctx context.Context) (netip.Addr, bool) {
	a, ok := ctx.Value(causeKey{}).(netip.Addr)
	return a, ok
}

// ErrRationed is wrapped by errors about steps that are refused because too many were
// caused lately by the same source, or toward the same names.
var ErrRationed = errors.New("federation: too many requests of others about names")

// Defaults of [RationLimits].
const (
	defaultPerSource   = 1.0
	defaultSourceBurst = 32
	defaultPerZone     = 0.5
	defaultZoneBurst   = 32
	defaultStepsAtOnce = 32
)

const (
	maxRations  = 4096        // sources or zones remembered; those beyond share one ration
	rationSweep = time.Second // between two looks through all
)

// RationLimits bound the outward steps that strangers cause. Zero is the default.
type RationLimits struct {
	// PerSecond and Burst are for each source; 1, 32.
	PerSecond float64
	Burst     int
	// ZonePerSecond and ZoneBurst are for names that end in the same two labels,
	// whoever asks, so that nobody's servers are flooded through us; 0.5, 32.
	ZonePerSecond float64
	ZoneBurst     int
	// AtOnce is how many may be going on; 32.
	AtOnce int
}

// Rations bound the outward steps that strangers cause. Its methods may be called at once.
type Rations struct {
	sources, zones *rationer
	going          chan struct{}
}

// NewRations makes full rations.
func NewRations(l RationLimits) *Rations {
	return &Rations{
		sources: newRationer(orDefault(l.PerSecond, defaultPerSource), orDefault(l.Burst, defaultSourceBurst)),
		zones:   newRationer(orDefault(l.ZonePerSecond, defaultPerZone), orDefault(l.ZoneBurst, defaultZoneBurst)),
		going:   make(chan struct{}, orDefault(l.AtOnce, defaultStepsAtOnce)),
	}
}

func orDefault[T int | float64](v, d T) T {
	if v > 0 {
		return v
	}
	return d
}

// Take asks for a step about a name; what the node does of its own accord is not rationed.
// It does not wait. After the step, call done. The error wraps ErrRationed.
func (r *Rations) Take(ctx context.Context, name protocol.Node) (done func(), err error) {
	from, foreign := causeOf(ctx)
	if !foreign {
		return func() {}, nil
	}
	now, source := time.Now(), Source(from)
	if !r.sources.allow(source.String(), now) {
		return nil, fmt.Errorf("%w: from %s", ErrRationed, source)
	}
	if z := zone(name); !r.zones.allow(z, now) {
		return nil, fmt.Errorf("%w: about %s", ErrRationed, z)
	}
	select {
	case r.going <- struct{}{}:
		return sync.OnceFunc(func() { <-r.going }), nil
	default:
		return nil, fmt.Errorf("%w: at a time", ErrRationed)
	}
}

// zone is the end of a name that commonly has one owner. Where it does not ("co.uk",
// hosting companies) neighbours share a ration.
func zone(n protocol.Node) string {
	s := string(n)
	if i := strings.LastIndexByte(s, '.'); i >= 0 {
		if j := strings.LastIndexByte(s[:i], '.'); j >= 0 {
			return s[j+1:]
		}
	}
	return s
}

// rationer has a ration for each key.
type rationer struct {
	perSecond float64
	burst     int

	mu    sync.Mutex
	of    map[string]*rate.Limiter
	rest  *rate.Limiter // of keys that are not remembered
	swept time.Time
}

func newRationer(perSecond float64, burst int) *rationer {
	r := &rationer{perSecond: perSecond, burst: burst, of: map[string]*rate.Limiter{}}
	r.rest = r.full()
	return r
}

func (r *rationer) full() *rate.Limiter { return rate.NewLimiter(rate.Limit(r.perSecond), r.burst) }

func (r *rationer) allow(key string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.of[key]
	if l == nil {
		if len(r.of) >= maxRations && !r.sweep(now) {
			return r.rest.AllowN(now, 1)
		}
		l = r.full()
		r.of[key] = l
	}
	return l.AllowN(now, 1)
}

// sweep forgets whose ration is whole again, and reports whether there is room.
func (r *rationer) sweep(now time.Time) bool {
	if now.Sub(r.swept) < rationSweep {
		return false
	}
	r.swept = now
	for k, l := range r.of {
		if l.TokensAt(now) >= float64(r.burst) {
			delete(r.of, k)
		}
	}
	return len(r.of) < maxRations
}
