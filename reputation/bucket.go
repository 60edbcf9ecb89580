package reputation

// Bucket is a token bucket. The zero Bucket is full.
type Bucket struct {
	Tokens float64
	At     Time // zero: full
}

// refill returns the tokens there are, for a rate per day and the most it holds.
func (b *Bucket) refill(now Time, rate, burst float64) float64 {
	if b.At == 0 {
		b.Tokens = burst
	}
	b.Tokens = min(burst, b.Tokens+now.since(b.At)*rate)
	b.At = now
	return b.Tokens
}

// add puts tokens in, or takes them if n is negative.
func (b *Bucket) add(n float64) { b.Tokens = max(0, b.Tokens+n) }
