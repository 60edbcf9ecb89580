package httpd

import "sync"

// slots bounds what runs at once, in all and for each key.
type slots struct {
	total, each int

	mu   sync.Mutex
	used map[string]int
	all  int
}

// take gets a slot until free is called; false if there is none.
func (s *slots) take(key string) (free func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.total || s.used[key] >= s.each {
		return nil, false
	}
	if s.used == nil {
		s.used = map[string]int{}
	}
	s.all++
	s.used[key]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.used[key]--; s.used[key] == 0 {
			delete(s.used, key)
		}
	}, true
}
