package s2s

// What is on the wire, one line a field: the number is its key (spec/link.cddl).

func (h *Hello) layout(c *coder) {
	text(c, 1, &h.Name)
	text(c, 2, &h.To)
	number(c, 3, &h.Boot)
	number(c, 4, &h.Incarnation)
	number(c, 5, &h.Known)
	list(c, 6, &h.Lanes, element)
	list(c, 7, &h.Features, textItem)
	inside(c, 8, &h.Limits)
	text(c, 9, &h.Build)
	octets(c, 10, &h.Succession)
	number(c, 11, &h.Time)
	number(c, 12, &h.Reach)
}

func (l *LaneState) layout(c *coder) {
	number(c, 1, &l.Lowest)
	number(c, 2, &l.Next)
	number(c, 3, &l.Applied)
}

func (l *Limits) layout(c *coder) {
	number(c, 1, &l.Frame)
	number(c, 2, &l.Content)
	number(c, 3, &l.Window)
	number(c, 4, &l.Posts)
	number(c, 5, &l.Bytes)
}

func (f *Control) layout(c *coder) {
	optional(c, 1, &f.Hello)
	optional(c, 2, &f.Ack)
	optional(c, 3, &f.LogAck)
	optional(c, 4, &f.Limits)
	optional(c, 5, &f.Goodbye)
	optional(c, 6, &f.Reach)
}

func (r *Reach) layout(c *coder) { number(c, 1, &r.Class) }

func (g *Goodbye) layout(c *coder) { text(c, 1, &g.Reason) }

func (a *Ack) layout(c *coder) {
	number(c, 1, &a.Lane)
	number(c, 2, &a.Upto)
	list(c, 3, &a.Verdicts, element)
}

func (v *Verdict) layout(c *coder) {
	number(c, 1, &v.N)
	number(c, 2, &v.Outcome)
	number(c, 3, &v.Fault)
	text(c, 4, &v.Reason)
	number(c, 5, &v.Wait)
}

func (l *Line) layout(c *coder) {
	c.post(linePost, &l.Post)
	number(c, 2, &l.Void)
	number(c, 3, &l.Settled)
	optional(c, 4, &l.Log)
}

func (n *Name) layout(c *coder) {
	user(c, 1, &n.From)
	number(c, 2, &n.Origin)
	number(c, 3, &n.Tag)
}

func (p *Post) layout(c *coder) {
	number(c, postN, &p.N)
	if !c.writing || p.Topic != p.ends() { // else it is known by From and To
		topic(c, 2, &p.Topic)
	}
	user(c, 3, &p.From)
	number(c, 4, &p.At)
	optional(c, 5, &p.Message)
	optional(c, 6, &p.Delete)
	optional(c, 7, &p.Marks)
	optional(c, 8, &p.Mode)
	optional(c, 9, &p.Card)
	optional(c, 10, &p.Aux)
	optional(c, 11, &p.Tombstone)
	optional(c, 12, &p.Invite)
	optional(c, 13, &p.Command)
	optional(c, 14, &p.Withdraw)
	optional(c, 15, &p.Report)
	user(c, 16, &p.To)
	optional(c, 17, &p.Follow)
	list(c, 18, &p.Reads, element)
}

func (r *Reader) layout(c *coder) {
	user(c, 1, &r.User)
	number(c, 2, &r.Recv)
	number(c, 3, &r.Read)
}

func (m *Message) layout(c *coder) {
	number(c, 1, &m.Origin)
	number(c, 2, &m.Tag)
	octets(c, 3, &m.Head)
	octets(c, 4, &m.Content)
	names(c, 5, &m.Refs)
	optional(c, 6, &m.Card)
	optional(c, 7, &m.Mode)
	list(c, 8, &m.Seqs, element)
}

func (d *Delete) layout(c *coder) { list(c, 1, &d.Of, element) }

func (e *Erased) layout(c *coder) {
	user(c, 1, &e.From)
	list(c, 2, &e.Ranges, spanItem)
}

func (m *Marks) layout(c *coder) {
	optional(c, 1, &m.Recv)
	optional(c, 2, &m.Read)
}

func (m *Mode) layout(c *coder) {
	number(c, 1, &m.Want)
	number(c, 2, &m.Given)
	boolean(c, 3, &m.Ended)
	optional(c, 4, &m.Card)
	list(c, 5, &m.Vouchers, octetsItem)
}

func (d *Card) layout(c *coder) {
	user(c, 1, &d.User)
	number(c, 2, &d.Version)
	octets(c, 3, &d.Public)
	number(c, 4, &d.Auth)
	octets(c, 5, &d.Sig)
	boolean(c, 6, &d.Guest)
}

func (a *Aux) layout(c *coder) {
	octets(c, 1, &a.JSON)
	list(c, 2, &a.Refs, element)
}

func (t *Tombstone) layout(c *coder) {
	user(c, 1, &t.User)
	boolean(c, 2, &t.Erase)
	number(c, 3, &t.At)
	octets(c, 4, &t.Sig)
}

func (i *Invite) layout(c *coder) {
	user(c, 1, &i.User)
	user(c, 2, &i.By)
	number(c, 3, &i.Given)
	inside(c, 4, &i.Group)
	number(c, 5, &i.Want)
	list(c, 6, &i.Members, element)
}

func (f *Follow) layout(c *coder) {
	number(c, 1, &f.Rev)
	boolean(c, 2, &f.Stop)
}

func (g *Group) layout(c *coder) {
	topic(c, 1, &g.ID)
	boolean(c, 2, &g.Channel)
	number(c, 3, &g.Created)
	number(c, 4, &g.Updated)
	user(c, 5, &g.Owner)
	number(c, 6, &g.Auth)
	number(c, 7, &g.Anon)
	octets(c, 8, &g.Public)
	list(c, 9, &g.Tags, textItem)
	octets(c, 10, &g.Aux)
	number(c, 11, &g.Seq)
	number(c, 12, &g.Rev)
	number(c, 13, &g.SubCount)
}

func (r *Report) layout(c *coder) {
	user(c, 1, &r.User)
	number(c, 2, &r.Count)
}

func (l *Log) layout(c *coder) {
	topic(c, 1, &l.Group)
	number(c, 2, &l.After)
	list(c, 3, &l.Events, element)
}

func (a *LogAck) layout(c *coder) {
	topic(c, 1, &a.Group)
	number(c, 2, &a.Rev)
	boolean(c, 3, &a.Reset)
	boolean(c, 4, &a.Stop)
}

func (e *Event) layout(c *coder) {
	number(c, 1, &e.At)
	user(c, 2, &e.By)
	optional(c, 3, &e.Message)
	optional(c, 4, &e.Erase)
	optional(c, 5, &e.Sub)
	user(c, 6, &e.Owner)
	optional(c, 7, &e.Desc)
	boolean(c, 8, &e.End)
	octets(c, 9, &e.Sig)
}

func (m *GroupMessage) layout(c *coder) {
	number(c, 1, &m.Seq)
	number(c, 2, &m.Tag)
	number(c, 3, &m.TS)
	octets(c, 4, &m.Head)
	octets(c, 5, &m.Content)
}

func (e *Erasure) layout(c *coder) {
	number(c, 1, &e.ID)
	list(c, 2, &e.Ranges, spanItem)
}

func (m *Membership) layout(c *coder) {
	user(c, 1, &m.User)
	number(c, 2, &m.Want)
	number(c, 3, &m.Given)
	boolean(c, 4, &m.Ended)
	optional(c, 5, &m.Card)
}

func (d *Command) layout(c *coder) {
	octets(c, 1, &d.Key)
	topic(c, 2, &d.Group)
	user(c, 3, &d.User)
	number(c, 4, &d.At)
	octets(c, 5, &d.Request)
	number(c, 6, &d.Tag)
	octets(c, 7, &d.Sig)
	optional(c, 8, &d.Card)
}

func (w *Withdraw) layout(c *coder) {
	octets(c, 1, &w.Key)
	topic(c, 2, &w.Group)
	number(c, 3, &w.At)
}

func (s *Snapshot) layout(c *coder) {
	inside(c, 1, &s.Group)
	list(c, 2, &s.Members, element)
	list(c, 3, &s.Erased, element)
	boolean(c, 4, &s.More)
}

func (f *Cast) layout(c *coder) {
	optional(c, 1, &f.Presence)
	optional(c, 2, &f.Note)
	optional(c, 3, &f.Here)
	optional(c, 4, &f.Call)
}

func (p *Presence) layout(c *coder) {
	list(c, 1, &p.Users, element)
	boolean(c, 2, &p.Digest)
	boolean(c, 3, &p.Watch)
}

func (s *Status) layout(c *coder) {
	user(c, 1, &s.User)
	boolean(c, 2, &s.Online)
	text(c, 3, &s.UA)
	number(c, 4, &s.Seen)
	list(c, 5, &s.To, userItem)
}

func (n *Note) layout(c *coder) {
	topic(c, 1, &n.Topic)
	user(c, 2, &n.From)
	text(c, 3, &n.What)
	text(c, 4, &n.Event)
	optional(c, 5, &n.Of)
	octets(c, 6, &n.Data)
}

func (h *Here) layout(c *coder) {
	topic(c, 1, &h.Group)
	list(c, 2, &h.On, userItem)
	list(c, 3, &h.Off, userItem)
	boolean(c, 4, &h.All)
}

func (d *Call) layout(c *coder) {
	topic(c, 1, &d.Topic)
	user(c, 2, &d.From)
	inside(c, 3, &d.Of)
	text(c, 4, &d.Event)
	octets(c, 5, &d.Payload)
}

func (a *Ask) layout(c *coder) {
	optional(c, 1, &a.Ping)
	user(c, 2, &a.Card)
	text(c, 3, &a.Handle)
	optional(c, 4, &a.History)
	optional(c, 5, &a.File)
	octets(c, 6, &a.Opinion)
	optional(c, 7, &a.Command)
	topic(c, 8, &a.Snapshot)
	boolean(c, 9, &a.Keys)
	optional(c, 10, &a.Resume)
	boolean(c, 11, &a.Pages)
	user(c, 12, &a.After)
	topic(c, 13, &a.Group)
}

func (a *Answer) layout(c *coder) {
	boolean(c, 1, &a.Failed)
	number(c, 2, &a.Fault)
	text(c, 3, &a.Reason)
	number(c, 4, &a.Wait)
	optional(c, 5, &a.Ping)
	optional(c, 6, &a.Card)
	optional(c, 7, &a.Group)
	list(c, 8, &a.History, element)
	list(c, 9, &a.Posts, element)
	optional(c, 10, &a.File)
	octets(c, 11, &a.Opinion)
	optional(c, 12, &a.Result)
	optional(c, 13, &a.Snapshot)
	list(c, 14, &a.Keys, element)
	optional(c, 15, &a.Compare)
}

func (p *Ping) layout(c *coder) { octets(c, 1, &p.Data) }

func (h *History) layout(c *coder) {
	topic(c, 1, &h.Topic)
	number(c, 2, &h.Low)
	number(c, 3, &h.High)
	number(c, 4, &h.Limit)
	user(c, 5, &h.Of)
}

func (p *Compare) layout(c *coder) {
	list(c, 1, &p.Topics, element)
	text(c, 2, &p.More)
}

func (s *TopicState) layout(c *coder) {
	topic(c, 1, &s.Topic)
	number(c, 2, &s.Mine)
	number(c, 3, &s.Yours)
	number(c, 4, &s.Rev)
}

func (f *File) layout(c *coder) {
	text(c, 1, &f.ID)
	number(c, 2, &f.Offset)
	number(c, 3, &f.Length)
}

func (f *FileInfo) layout(c *coder) {
	number(c, 1, &f.Size)
	text(c, 2, &f.MIME)
	text(c, 3, &f.Name)
	octets(c, 4, &f.SHA256)
	number(c, 5, &f.Follow)
}

func (r *Result) layout(c *coder) {
	number(c, 1, &r.Code)
	text(c, 2, &r.Text)
	octets(c, 3, &r.Params)
	number(c, 4, &r.Rev)
}

func (s *Statement) layout(c *coder) {
	text(c, 1, &s.Kind)
	octets(c, 2, &s.Body)
	octets(c, 3, &s.Key)
	octets(c, 4, &s.Sig)
}
