package vnet

import (
	"math"
	"math/rand/v2"
	"time"
)

// Link is what happens on the way from one host to another. The zero value is perfect.
type Link struct {
	Latency time.Duration
	Jitter  time.Duration // the scale of what Spread adds to Latency; packets may overtake
	Spread  Spread
	Loss    float64 // part of the packets
	Burst   float64 // packets lost in a row, on average (Gilbert's model); up to 1: each by itself
	Double  float64 // part of the packets that come twice
	Reorder float64 // part of the packets that take twice the latency, so that later ones overtake
	Rate    float64 // bits a second; 0: any
	Queue   int     // bytes that wait for Rate before packets are lost; 0: DefaultQueue
	MTU     int     // of IP; larger packets are lost. 0: DefaultMTU
	Cut     bool    // everything is lost
}

// What holds where a Link does not say.
const (
	DefaultMTU   = 1500
	DefaultQueue = 128 << 10
)

// headers of IPv6 and UDP, in bytes.
const headers = 48

// Spread is how the delay beyond Latency is distributed, by its scale Jitter.
type Spread uint8

// The spreads.
const (
	Uniform     Spread = iota // in [0, Jitter)
	Normal                    // |N(0, Jitter)|
	Exponential               // of mean Jitter
	Pareto                    // of scale Jitter and shape 2.5: few, but long delays
)

// paretoShape gives a finite mean and variance, as measured paths have.
const paretoShape = 2.5

// of draws a delay. It always takes one number from the dice, or for Normal some.
func (s Spread) of(dice *rand.Rand, jitter time.Duration) time.Duration {
	var x float64
	switch s {
	case Normal:
		x = math.Abs(dice.NormFloat64())
	case Exponential:
		x = dice.ExpFloat64()
	case Pareto:
		x = math.Pow(1-dice.Float64(), -1/paretoShape) - 1
	default:
		x = dice.Float64()
	}
	return time.Duration(x * float64(jitter))
}

// Fate is what became of a packet when it was sent.
type Fate uint8

// The fates.
const (
	Sent     Fate = iota // on its way
	Lost                 // by chance
	Cut                  // there is no way
	TooLarge             // for the MTU
	Dropped              // the queue of the link is full
	NoOne                // nobody listens
	Overflow             // the receiver does not read fast enough
	Shielded             // by the NAT or firewall of the receiver
	fates
)

// String names the fate.
func (f Fate) String() string {
	return [...]string{"sent", "lost", "cut", "too large", "dropped", "no one", "overflow", "shielded"}[f]
}

// way is the state of one direction between two sockets.
type way struct {
	dice *rand.Rand
	bad  bool      // in a burst of losses
	busy time.Time // until then the link sends what waits
}

// lost draws whether a packet is, by Gilbert's model: the link is good or bad, all
// packets of the bad state are lost, and it lasts for Burst packets on average.
func (w *way) lost(l *Link) bool {
	u := w.dice.Float64()
	if l.Loss <= 0 {
		w.bad = false
		return false
	}
	if l.Burst <= 1 || l.Loss >= 1 {
		return u < l.Loss
	}
	if w.bad {
		w.bad = u >= 1/l.Burst
	} else {
		w.bad = u < l.Loss/(l.Burst*(1-l.Loss))
	}
	return w.bad
}

// pass draws what happens to a packet of so many bytes: when it arrives, and whether it
// does twice. The count of draws does not depend on the fate.
func (w *way) pass(l *Link, size int, now time.Time) (arrival time.Time, twice bool, f Fate) {
	lost := w.lost(l)
	late := l.Spread.of(w.dice, l.Jitter)
	twice = w.dice.Float64() < l.Double
	if w.dice.Float64() < l.Reorder {
		late += l.Latency
	}
	mtu := l.MTU
	if mtu == 0 {
		mtu = DefaultMTU
	}
	switch {
	case l.Cut:
		return now, false, Cut
	case size+headers > mtu:
		return now, false, TooLarge
	}
	at, ok := w.serve(l, size+headers, now)
	switch {
	case !ok:
		return now, false, Dropped
	case lost:
		return now, false, Lost
	}
	return at.Add(l.Latency + late), twice, Sent
}

// serve queues a packet for the rate of the link, and tells when it has been sent.
func (w *way) serve(l *Link, size int, now time.Time) (time.Time, bool) {
	if l.Rate <= 0 {
		return now, true
	}
	if w.busy.Before(now) {
		w.busy = now
	}
	limit := l.Queue
	if limit == 0 {
		limit = DefaultQueue
	}
	if w.busy.Sub(now).Seconds()*l.Rate/8 > float64(limit) {
		return now, false
	}
	w.busy = w.busy.Add(time.Duration(float64(size) * 8 / l.Rate * float64(time.Second)))
	return w.busy, true
}
