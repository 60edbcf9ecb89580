package httpd

import (
	"time"

	"parley/federation"
	"parley/protocol"
)

// Links is what goes on between this node and others now: a *federation.Mesh.
type Links interface {
	Stats() ([]federation.PeerStats, error)
}

// AdminLink is the link with another node, and what waits for it. Counts are since the
// process began to know the node.
type AdminLink struct {
	State   string        `json:"state"` // "up", "dialing", "waiting", "idle"
	Since   time.Time     `json:"since,omitzero"`
	Addr    string        `json:"addr,omitempty"` // of the other end, while it is up
	Build   string        `json:"build,omitempty"`
	Ahead   float64       `json:"ahead,omitempty"` // seconds: its clock of ours, when the link began
	Error   string        `json:"error,omitempty"` // of the last attempt
	Next    time.Time     `json:"next,omitzero"`   // attempt
	Queue   AdminQueue    `json:"queue"`
	Posts   AdminPosts    `json:"posts"`
	Traffic AdminTraffics `json:"traffic"`
}

// AdminQueue is what waits for another node, or for its answer.
type AdminQueue struct {
	Posts  uint64    `json:"posts"`
	Bytes  uint64    `json:"bytes"`
	Parked uint64    `json:"parked"` // of the posts: that it wants later
	Oldest time.Time `json:"oldest,omitzero"`
}

// AdminPosts counts posts by what became of them.
type AdminPosts struct {
	Sent         uint64 `json:"sent"`
	Acknowledged uint64 `json:"acknowledged"`
	Refused      uint64 `json:"refused"`
	Later        uint64 `json:"later"`
	Expired      uint64 `json:"expired"`
	Taken        uint64 `json:"taken"` // the other node's
}

// AdminTraffic is bytes of frames, without what QUIC adds.
type AdminTraffic struct {
	In  uint64 `json:"in"`
	Out uint64 `json:"out"`
}

// AdminTraffics is bytes by kind of frame.
type AdminTraffics struct {
	Control AdminTraffic `json:"control"`
	Posts   AdminTraffic `json:"posts"`
	Casts   AdminTraffic `json:"casts"`
	Asks    AdminTraffic `json:"asks"`
}

// WithLinks adds what goes on between nodes now. It is called before Handler.
func (a *Admin) WithLinks(l Links) *Admin {
	a.links = l
	return a
}

// linked fills in what goes on with each.
func (a *Admin) linked(peers []AdminPeer) error {
	if a.links == nil {
		return nil
	}
	stats, err := a.links.Stats()
	if err != nil {
		return err
	}
	by := make(map[protocol.Node]*federation.PeerStats, len(stats))
	for i := range stats {
		by[stats[i].Name] = &stats[i]
	}
	for i := range peers {
		if s := by[protocol.Node(peers[i].Name)]; s != nil {
			peers[i].Link = linkJSON(s)
		}
	}
	return nil
}

func linkJSON(s *federation.PeerStats) *AdminLink {
	return &AdminLink{
		State: string(s.State), Since: s.Since, Addr: s.Addr, Build: s.Build, Ahead: s.Ahead.Round(time.Second).Seconds(), Error: s.Error, Next: s.Next,
		Queue: AdminQueue{Posts: s.Queued, Bytes: s.Bytes, Parked: s.Parked, Oldest: s.Oldest},
		Posts: AdminPosts{Sent: s.Sent, Acknowledged: s.Acked, Refused: s.Refused, Later: s.Later, Expired: s.Expired, Taken: s.Taken},
		Traffic: AdminTraffics{
			Control: AdminTraffic(s.Control), Posts: AdminTraffic(s.Posts), Casts: AdminTraffic(s.Presence), Asks: AdminTraffic(s.Questions),
		},
	}
}
