package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"parley/protocol"
)

// Conn is a connection that carries packets, such as a WebSocket. Read and Write
// are called by one goroutine each, Close by any; Close makes both return.
type Conn interface {
	// Read returns the next packet, which is the caller's.
	Read() ([]byte, error)
	// Write sends packets in order and returns when the connection took them. It
	// must give up by itself on a peer that does not read.
	Write(packets [][]byte) error
	Close() error
}

// Dialer opens a connection. The context is for the opening only.
type Dialer func(ctx context.Context, url string, header http.Header) (Conn, error)

// Bounds of the queues of one client, where Config does not say otherwise.
const (
	DefaultEvents = 1024 // events that nobody has read yet
	maxUnsent     = 256  // packets waiting for the connection; more make requests wait
)

// Config says how to connect and as what. The zero value of every field but Dial
// works; New does not need Dial either.
type Config struct {
	Dial   Dialer
	APIKey string      // "": protocol.DefaultAPIKey
	Header http.Header // more headers of the HTTP request

	UserAgent  string // "": "parley-client"
	Lang       string // such as "en-US"
	Platform   string
	Device     string
	Background bool // do not show the user as online until told otherwise

	// Events is the length of the queue of events; 0: DefaultEvents.
	Events int
	// OnEvent, if set, gets the events instead of Client.Events, from the goroutine
	// that reads the connection: it must neither wait for answers nor call Close.
	OnEvent func(*protocol.Response)
	// OnPacket, if set, sees every packet before it is decoded. If it returns true
	// the packet is done with. It is called as OnEvent is and for programs to which
	// decoding is too dear; the packet is theirs to keep.
	OnPacket func(packet []byte) bool
}

// A Client is one session on a node. It is safe for concurrent use.
type Client struct {
	cfg    Config
	conn   Conn
	events chan *protocol.Response
	slots  chan struct{} // one for each packet in out or in the writer's hands
	done   chan struct{} // closed when the connection has ended
	wg     sync.WaitGroup

	mu      sync.Mutex // guards the rest
	err     error      // why the connection ended; set before done is closed
	out     [][]byte
	writing bool
	lastID  uint64
	pending map[string]answerer
	pages   map[*call]struct{} // those that collect {data}
	user    string
	server  Server
}

// answerer waits for answers to one request. Both methods are called with
// Client.mu held and must not block.
type answerer interface {
	// answer takes a ctrl or meta and reports whether it was the last one.
	answer(*protocol.Response) (last bool)
	// fail tells that no answer will come.
	fail(error)
}

// Errors with which a connection ends, beside those of its Conn.
var (
	ErrClosed   = errors.New("client: closed")
	ErrOverflow = errors.New("client: events are not read")
)

// Dial connects to the WebSocket endpoint at rawURL, such as
// "ws://127.0.0.1:6060/v0/channels", and says hi.
func Dial(ctx context.Context, rawURL string, cfg Config) (*Client, error) {
	if cfg.Dial == nil {
		return nil, errors.New("client: Config.Dial is required")
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	h := cfg.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	key := cfg.APIKey
	if key == "" {
		key = protocol.DefaultAPIKey
	}
	h.Set("X-Tinode-APIKey", key)
	conn, err := cfg.Dial(ctx, u.String(), h)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c := New(conn, cfg)
	if _, err := c.Hi(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("client: hi: %w", err)
	}
	return c, nil
}

// New makes a Client of an open connection, and nothing is said yet: the program
// has to begin with Hi. The Client closes the connection.
func New(conn Conn, cfg Config) *Client {
	if cfg.Events <= 0 {
		cfg.Events = DefaultEvents
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "parley-client"
	}
	c := &Client{
		cfg:     cfg,
		conn:    conn,
		slots:   make(chan struct{}, maxUnsent),
		done:    make(chan struct{}),
		pending: map[string]answerer{},
		pages:   map[*call]struct{}{},
	}
	if cfg.OnEvent == nil {
		c.events = make(chan *protocol.Response, cfg.Events)
	}
	c.wg.Go(c.read)
	return c
}

// Close ends the connection and returns when nothing of the client runs any more.
func (c *Client) Close() error {
	err := c.end(ErrClosed)
	c.wg.Wait()
	return err
}

// Done is closed when the connection has ended, for which Err gives the reason.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the connection ended: nil while it lives, ErrClosed after Close.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Events is the stream of what the node says by itself. It is closed when the
// connection has ended. It is nil if Config.OnEvent is set.
func (c *Client) Events() <-chan *protocol.Response { return c.events }

// User is the id of the user that is logged in, empty before.
func (c *Client) User() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user
}

// end closes the connection once, with the reason for those who wait.
func (c *Client) end(why error) error {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil
	}
	c.err = why
	for _, a := range c.pending {
		a.fail(why)
	}
	clear(c.pending)
	clear(c.pages)
	close(c.done)
	c.mu.Unlock()
	return c.conn.Close()
}

// read is the one goroutine that lives as long as the connection.
func (c *Client) read() {
	if c.events != nil {
		defer close(c.events)
	}
	for {
		packet, err := c.conn.Read()
		if err != nil {
			c.end(fmt.Errorf("client: connection lost: %w", err))
			return
		}
		if c.cfg.OnPacket != nil && c.cfg.OnPacket(packet) {
			continue
		}
		if len(packet) == 1 { // the answer to a network probe
			continue
		}
		r := new(protocol.Response)
		if err := json.Unmarshal(packet, r); err != nil {
			c.end(fmt.Errorf("client: malformed packet: %w", err))
			return
		}
		if !c.dispatch(r) {
			c.end(ErrOverflow)
			return
		}
	}
}

// dispatch gives r to who waits for it, or to the stream of events; false if that
// is full.
func (c *Client) dispatch(r *protocol.Response) bool {
	if c.answered(r) {
		return true
	}
	if c.cfg.OnEvent != nil {
		c.cfg.OnEvent(r)
		return true
	}
	select {
	case c.events <- r:
		return true
	default:
		return false
	}
}

// answered reports whether r was the answer to a request.
func (c *Client) answered(r *protocol.Response) bool {
	var id string
	switch {
	case r.Ctrl != nil:
		id = r.Ctrl.ID
	case r.Meta != nil:
		id = r.Meta.ID
	case r.Data != nil:
		return c.collected(r.Data)
	}
	if id == "" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.pending[id]
	if a == nil {
		return false
	}
	if a.answer(r) {
		delete(c.pending, id)
	}
	return true
}

// collected reports whether d belongs to a page of history being fetched.
func (c *Client) collected(d *protocol.Data) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.pages {
		if p.collect(d) {
			return true
		}
	}
	return false
}

// start sends a request for whose answer a waits, under id or, if that is empty,
// under a fresh one, which it returns.
func (c *Client) start(ctx context.Context, id string, a answerer, fill func(id string) *protocol.Request) (string, error) {
	c.mu.Lock()
	if id == "" {
		c.lastID++
		id = strconv.FormatUint(c.lastID, 10)
	}
	err := c.err
	if _, twice := c.pending[id]; err == nil && twice {
		err = fmt.Errorf("client: request id %q is in use", id)
	}
	if err == nil {
		c.pending[id] = a
	}
	c.mu.Unlock()
	if err != nil {
		return "", err
	}
	packet, err := json.Marshal(fill(id))
	if err == nil {
		err = c.Write(ctx, packet)
	}
	if err != nil {
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
	}
	return id, err
}

// Write sends a packet as it is, for what this package has no words for; answers
// come as events. It returns when the packet is queued.
func (c *Client) Write(ctx context.Context, packet []byte) error {
	select {
	case c.slots <- struct{}{}:
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.out = append(c.out, packet)
	if !c.writing {
		c.writing = true
		c.wg.Go(c.flush)
	}
	return nil
}

// flush is the writer: it sends what waits and ends.
func (c *Client) flush() {
	for {
		c.mu.Lock()
		batch := c.out
		c.out = nil
		if len(batch) == 0 || c.err != nil {
			c.writing = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if err := c.conn.Write(batch); err != nil {
			c.end(fmt.Errorf("client: connection lost: %w", err))
			return
		}
		for range batch {
			<-c.slots
		}
	}
}

// sameTopic reports whether an answer about got is one about asked: a node writes
// ids in full where a client may leave its name out.
func sameTopic(asked, got string) bool {
	if asked == got {
		return true
	}
	rest, ok := strings.CutPrefix(got, asked)
	return ok && strings.HasPrefix(rest, "@")
}
