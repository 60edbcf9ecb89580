package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/protocol"
	"parley/protocol/client"
)

// start connects a client to a fake node that answers as on says.
func start(t *testing.T, cfg client.Config, on func(*protocol.Request) []string) (*client.Client, *node) {
	t.Helper()
	near, far := newPipe()
	n := &node{conn: far, on: on}
	var wg sync.WaitGroup
	wg.Go(n.serve)
	cfg.Dial = func(context.Context, string, http.Header) (client.Conn, error) { return near, nil }
	c, err := client.Dial(t.Context(), "ws://node/v0/channels", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); wg.Wait() })
	return c, n
}

func ctrl(id string, code int, rest string) string {
	return fmt.Sprintf(`{"ctrl":{"id":%q,"code":%d,"text":"t"%s}}`, id, code, rest)
}

func TestDialSendsKeyAndHi(t *testing.T) {
	near, far := newPipe()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go((&node{conn: far}).serve)
	var got http.Header
	c, err := client.Dial(t.Context(), "ws://node/v0/channels", client.Config{
		Header: http.Header{"X-Other": {"kept"}},
		Dial: func(_ context.Context, url string, h http.Header) (client.Conn, error) {
			got = h
			return near, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got.Get("X-Tinode-APIKey") != protocol.DefaultAPIKey || got.Get("X-Other") != "kept" {
		t.Errorf("headers %v", got)
	}
	if s := c.Server(); s.Version != "0.25" || s.MaxSubscribers != 512 {
		t.Errorf("hi: %+v", s)
	}
}

func TestAnswersFindTheirRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held []string // answers given in reverse
		c, _ := start(t, client.Config{}, func(r *protocol.Request) []string {
			held = append([]string{ctrl(r.Pub.ID, 202, `,"params":{"seq":`+string(r.Pub.Content)+`}`)}, held...)
			if len(held) == 3 {
				return held
			}
			return nil
		})
		var receipts []*client.Receipt
		for i := range 3 {
			r, err := c.Send(t.Context(), &protocol.Pub{Topic: "grp1", Content: fmt.Append(nil, i+1)})
			if err != nil {
				t.Fatal(err)
			}
			receipts = append(receipts, r)
		}
		for i, r := range receipts {
			if seq, err := r.Wait(t.Context()); seq != i+1 || err != nil {
				t.Errorf("message %d: seq %d, %v", i+1, seq, err)
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	c, _ := start(t, client.Config{}, func(r *protocol.Request) []string {
		return []string{ctrl(r.Login.ID, 401, `,"topic":"","params":{"what":"auth"}`)}
	})
	_, err := c.LoginBasic(t.Context(), "al", "wrong")
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Code != 401 || refused.Params["what"] != "auth" {
		t.Fatalf("got %v", err)
	}
	if !errors.Is(err, protocol.BadLogin) || errors.Is(err, protocol.Denied) {
		t.Errorf("%v: wrong fault", err)
	}
	if c.User() != "" {
		t.Errorf("logged in as %q", c.User())
	}
}

func TestLogin(t *testing.T) {
	c, _ := start(t, client.Config{}, func(r *protocol.Request) []string {
		if got := string(r.Login.Secret); got != "al:pw" {
			t.Errorf("secret %q", got)
		}
		return []string{ctrl(r.Login.ID, 200, `,"params":{"user":"usrA@n","token":"AQID","expires":"2030-01-02T03:04:05.000Z","authlvl":"auth"}`)}
	})
	s, err := c.LoginBasic(t.Context(), "al", "pw")
	if err != nil {
		t.Fatal(err)
	}
	want := &client.Session{User: "usrA@n", Token: []byte{1, 2, 3}, Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), AuthLevel: "auth"}
	if !reflect.DeepEqual(s, want) || c.User() != "usrA@n" {
		t.Errorf("got %+v", s)
	}
}

func TestSubscribeCollectsItsParts(t *testing.T) {
	c, _ := start(t, client.Config{}, func(r *protocol.Request) []string {
		id := r.Sub.ID
		return []string{
			ctrl(id, 200, `,"topic":"grp1@n","params":{"acs":{"mode":"JRW"}}`),
			`{"meta":{"id":"` + id + `","topic":"grp1@n","desc":{"seq":9}}}`,
			ctrl(id, 405, `,"topic":"grp1@n"`), // cred
			`{"data":{"topic":"grp1@n","seq":8,"content":"eight"}}`,
			`{"data":{"topic":"grp2@n","seq":8,"content":"elsewhere"}}`,
			`{"data":{"topic":"grp1@n","seq":10,"content":"live"}}`,
			ctrl(id, 208, `,"topic":"grp1@n","params":{"what":"data","count":1}`),
			ctrl(id, 204, `,"topic":"grp1@n","params":{"what":"del"}`),
		}
	})
	s, err := c.Subscribe(t.Context(), &protocol.Sub{Topic: "new1", Get: &protocol.GetQuery{
		What: "desc cred data del nonsense", Data: &protocol.GetRanges{Before: 10}}})
	if !errors.Is(err, protocol.Unsupported) {
		t.Errorf("refused part: %v", err)
	}
	if s.Topic != "grp1@n" || s.Acs.Mode != "JRW" || s.Desc.Seq != 9 || len(s.Data) != 1 || s.Data[0].Seq != 8 {
		t.Errorf("got %+v", s)
	}
	for _, want := range []int{8, 10} {
		if e := <-c.Events(); e.Data == nil || e.Data.Seq != want {
			t.Errorf("event %+v, want data %d", e, want)
		}
	}
}

func TestGetAsksForEachPart(t *testing.T) {
	c, _ := start(t, client.Config{}, func(r *protocol.Request) []string {
		switch id := r.Get.ID; r.Get.What {
		case "desc":
			return []string{`{"meta":{"id":"` + id + `","topic":"me","desc":{"seq":1}}}`}
		case "tags":
			return []string{`{"meta":{"id":"` + id + `","topic":"me","tags":["a"]}}`}
		}
		return []string{ctrl(r.Get.ID, 403, `,"topic":"me"`)}
	})
	v, err := c.Get(t.Context(), "me", protocol.GetQuery{What: "desc aux tags"})
	if !errors.Is(err, protocol.Denied) || v.Desc == nil || len(v.Tags) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestHistoryIsNotAnEvent(t *testing.T) {
	c, _ := start(t, client.Config{}, func(r *protocol.Request) []string {
		return []string{
			`{"data":{"topic":"usrB@n","seq":2,"content":"b"}}`,
			`{"data":{"topic":"usrB@n","seq":1,"content":"a"}}`,
			ctrl(r.Get.ID, 208, ""),
			`{"data":{"topic":"usrB@n","seq":2,"content":"after the page"}}`,
		}
	})
	data, err := c.GetData(t.Context(), "usrB", protocol.GetRanges{Limit: 5})
	if err != nil || len(data) != 2 || data[0].Seq != 2 || data[1].Seq != 1 {
		t.Errorf("got %v, %v", data, err)
	}
	if e := <-c.Events(); string(e.Data.Content) != `"after the page"` {
		t.Errorf("event %s", e.Data.Content)
	}
}

func TestConnectionLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, n := start(t, client.Config{}, func(*protocol.Request) []string { return nil })
		r, err := c.Send(t.Context(), &protocol.Pub{Topic: "grp1"})
		if err != nil {
			t.Fatal(err)
		}
		n.conn.Close()
		if _, err := r.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "connection lost") {
			t.Errorf("waiting request: %v", err)
		}
		if _, ok := <-c.Events(); ok {
			t.Error("events go on")
		}
		<-c.Done()
		if _, err := c.Publish(t.Context(), "grp1", "x"); err == nil {
			t.Error("published without a connection")
		}
	})
}

func TestContextEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := start(t, client.Config{}, func(*protocol.Request) []string { return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Leave(ctx, "grp1", false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if c.Err() != nil {
			t.Errorf("connection ended: %v", c.Err())
		}
	})
}

func TestFullConnectionMakesRequestsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := newPipe() // nobody reads
		c := client.New(near, client.Config{})
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var err error
		for range 1000 {
			if err = c.Note(ctx, protocol.Note{Topic: "grp1", What: "kp"}); err != nil {
				break
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestUnreadEventsEndTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, n := start(t, client.Config{Events: 2}, nil)
		for range 3 {
			n.say(`{"pres":{"topic":"me","what":"on"}}`)
		}
		<-c.Done()
		if c.Err() != client.ErrOverflow {
			t.Errorf("got %v", c.Err())
		}
		got := 0
		for range c.Events() {
			got++
		}
		if got != 2 {
			t.Errorf("%d events, want those that fitted", got)
		}
	})
}

func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events, packets int
		c, n := start(t, client.Config{
			OnPacket: func(p []byte) bool { packets++; return strings.Contains(string(p), "info") },
			OnEvent:  func(*protocol.Response) { events++ },
		}, nil)
		n.say(`{"info":{"topic":"grp1","what":"kp"}}`, `{"pres":{"topic":"me","what":"on"}}`, `0`)
		synctest.Wait()
		if events != 1 || packets != 4 {
			t.Errorf("%d events, %d packets", events, packets)
		}
		if c.Events() != nil {
			t.Error("both a hook and a stream")
		}
	})
}

func TestMalformedPacketEndsTheConnection(t *testing.T) {
	c, n := start(t, client.Config{}, nil)
	n.conn.Write([][]byte{[]byte("{nonsense")})
	<-c.Done()
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "malformed") {
		t.Errorf("got %v", err)
	}
}

func TestSameRequestIDTwice(t *testing.T) {
	c, _ := start(t, client.Config{}, func(*protocol.Request) []string { return nil })
	if _, err := c.Send(t.Context(), &protocol.Pub{ID: "mine", Topic: "grp1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), &protocol.Pub{ID: "mine", Topic: "grp1"}); err == nil {
		t.Error("the answer to the first would be lost")
	}
}

// Every method sends the request that its name says.
func TestRequestsOnTheWire(t *testing.T) {
	var got string
	c, _ := start(t, client.Config{}, func(r *protocol.Request) []string {
		id := *idOf(r)
		*idOf(r) = ""
		b, err := json.Marshal(r)
		if err != nil {
			t.Error(err)
		}
		got = string(b)
		return []string{ctrl(id, 200, `,"topic":"grp1","params":{"user":"usrA","del":4,"acs":{"given":"JRW"},"seq":1}`)}
	})
	ctx := t.Context()
	one := protocol.Range{Low: 3, Hi: 5}
	for name, tc := range map[string]struct {
		call func() error
		want string
	}{
		"account": {func() error {
			_, err := c.CreateAccount(ctx, client.Account{Login: "al", Password: "pw", Public: map[string]string{"fn": "Al"}, Tags: []string{"x"}})
			return err
		}, `{"acc":{"user":"new","scheme":"basic","secret":"YWw6cHc=","login":true,"tags":["x"],"desc":{"public":{"fn":"Al"}}}}`},
		"anonymous account, not logged in": {func() error {
			_, err := c.CreateAccount(ctx, client.Account{NoLogin: true})
			return err
		}, `{"acc":{"user":"new","scheme":"anonymous","desc":{}}}`},
		"token": {func() error { _, err := c.LoginToken(ctx, []byte{1}); return err }, `{"login":{"scheme":"token","secret":"AQ=="}}`},
		"leave": {func() error { return c.Leave(ctx, "grp1", true) }, `{"leave":{"topic":"grp1","unsub":true}}`},
		"desc":  {func() error { _, err := c.GetDesc(ctx, "grp1"); return err }, `{"get":{"topic":"grp1","what":"desc"}}`},
		"subs":  {func() error { _, err := c.GetSubs(ctx, "me"); return err }, `{"get":{"topic":"me","what":"sub"}}`},
		"data": {func() error { _, err := c.GetData(ctx, "grp1", protocol.GetRanges{Before: 9, Limit: 2}); return err },
			`{"get":{"topic":"grp1","what":"data","data":{"before":9,"limit":2}}}`},
		"del": {func() error { _, err := c.GetDel(ctx, "grp1", protocol.GetRanges{Since: 2}); return err },
			`{"get":{"topic":"grp1","what":"del","del":{"since":2}}}`},
		"set desc": {func() error { return c.SetDesc(ctx, "grp1", protocol.SetDesc{Private: json.RawMessage(`1`)}) },
			`{"set":{"topic":"grp1","desc":{"private":1}}}`},
		"mode": {func() error {
			acs, err := c.SetMode(ctx, "grp1", "usrB", "JRW")
			if err == nil && acs.Given != "JRW" {
				t.Errorf("acs %+v", acs)
			}
			return err
		}, `{"set":{"topic":"grp1","sub":{"user":"usrB","mode":"JRW"}}}`},
		"tags": {func() error { return c.SetTags(ctx, "me", []string{"a"}) }, `{"set":{"topic":"me","tags":["a"]}}`},
		"cred": {func() error { return c.SetCred(ctx, protocol.Credential{Method: "email", Value: "a@b.example"}) },
			`{"set":{"topic":"me","cred":{"meth":"email","val":"a@b.example"}}}`},
		"aux": {func() error { return c.SetAux(ctx, "grp1", map[string]json.RawMessage{"pins": json.RawMessage(`[1]`)}) },
			`{"set":{"topic":"grp1","aux":{"pins":[1]}}}`},
		"delete messages": {func() error {
			n, err := c.DeleteMessages(ctx, "grp1", true, one)
			if n != 4 {
				t.Errorf("deletion %d", n)
			}
			return err
		}, `{"del":{"topic":"grp1","what":"msg","hard":true,"delseq":[{"low":3,"hi":5}]}}`},
		"publish": {func() error { _, err := c.Publish(ctx, "grp1", "hi"); return err }, `{"pub":{"topic":"grp1","content":"hi"}}`},
		"anything": {func() error {
			_, err := c.Do(ctx, &protocol.Request{Leave: &protocol.Leave{Topic: "grp1"}})
			return err
		},
			`{"leave":{"topic":"grp1"}}`},
	} {
		if err := tc.call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got != tc.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, tc.want)
		}
	}
}

// idOf points to the id of a request.
func idOf(r *protocol.Request) *string {
	switch {
	case r.Acc != nil:
		return &r.Acc.ID
	case r.Login != nil:
		return &r.Login.ID
	case r.Leave != nil:
		return &r.Leave.ID
	case r.Pub != nil:
		return &r.Pub.ID
	case r.Get != nil:
		return &r.Get.ID
	case r.Set != nil:
		return &r.Set.ID
	}
	return &r.Del.ID
}

func TestNoteIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got *protocol.Note
		c, _ := start(t, client.Config{}, func(r *protocol.Request) []string { got = r.Note; return nil })
		if err := c.Note(t.Context(), protocol.Note{Topic: "grp1", What: "read", Seq: 7}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got == nil || got.What != "read" || got.Seq != 7 || got.ID != "" {
			t.Errorf("got %+v", got)
		}
	})
}
