package httpd

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestLongPollFlow(t *testing.T) {
	n := newEcho()
	s := run(t, Config{Node: n})
	base := "http://" + s.addr + "/v0/channels/lp" + goodKey
	resp, body := do(t, "POST", base, "this body is ignored")
	first := ctrlOf(t, body)
	if resp.StatusCode != 201 || first.Code != 201 || first.Text != "created" {
		t.Fatalf("first request: HTTP %d %s", resp.StatusCode, body)
	}
	if o := resp.Header.Get("Access-Control-Allow-Origin"); o != "*" {
		t.Errorf("Access-Control-Allow-Origin %q", o)
	}
	url := base + "&sid=" + first.Params["sid"].(string)
	for _, p := range []string{"two", `{"hi":{}}`} {
		if resp, body := do(t, "POST", url, p); resp.StatusCode != 200 || body != "" {
			t.Errorf("sending: HTTP %d %q, want 200 and nothing", resp.StatusCode, body)
		}
		if p == "two" { // the echo waits until both packets are fetched, one in a poll
			var got []string
			for _, method := range []string{"GET", "POST"} {
				_, body := do(t, method, url, "")
				got = append(got, body)
			}
			if !slices.Equal(got, []string{"one", "two"}) {
				t.Errorf("polls gave %q", got)
			}
		}
	}
	if resp, body := do(t, "POST", url, ""); resp.StatusCode != 200 || body != `{"hi":{}}` {
		t.Errorf("poll: HTTP %d %q", resp.StatusCode, body)
	}
	n.mu.Lock()
	if len(n.origins) != 1 || n.origins[0].Proto != "lp" {
		t.Errorf("origins %v", n.origins)
	}
	n.mu.Unlock()
	do(t, "POST", url, "bye")
	for _, u := range []string{url, base + "&sid=unknown"} {
		resp, body := do(t, "GET", u, "")
		if c := ctrlOf(t, body); resp.StatusCode != 403 || c.Code != 403 || c.Text != "invalid or expired session" {
			t.Errorf("after the end: HTTP %d %s", resp.StatusCode, body)
		}
	}
}

func TestLongPollTwoAtOnce(t *testing.T) {
	s := run(t, Config{Node: newEcho()})
	base := "http://" + s.addr + "/v0/channels/lp" + goodKey
	_, body := do(t, "POST", base, "")
	url := base + "&sid=" + ctrlOf(t, body).Params["sid"].(string)
	var wg sync.WaitGroup
	got := make([]string, 2)
	for i := range got {
		wg.Go(func() { _, got[i] = do(t, "POST", url, "") })
	}
	do(t, "POST", url, "two")
	wg.Wait()
	slices.Sort(got)
	if !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("got %q", got)
	}
}

func TestLongPollBadRequests(t *testing.T) {
	s := run(t, Config{Node: newEcho()})
	base := "http://" + s.addr + "/v0/channels/lp"
	resp, _ := do(t, "OPTIONS", base, "", "Origin: https://elsewhere.example", "Access-Control-Request-Method: POST")
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("OPTIONS: HTTP %d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := do(t, "PUT", base+goodKey, ""); resp.StatusCode != 405 {
		t.Errorf("PUT: HTTP %d", resp.StatusCode)
	}
	_, body := do(t, "POST", base+goodKey, "")
	url := base + goodKey + "&sid=" + ctrlOf(t, body).Params["sid"].(string)
	if resp, body := do(t, "POST", url, strings.Repeat("x", 1001)); resp.StatusCode != 413 || ctrlOf(t, body).Code != 413 {
		t.Errorf("too large: HTTP %d %s", resp.StatusCode, body)
	}
	do(t, "POST", url, strings.Repeat("x", 1000)) // the session lives on
	if _, body := do(t, "GET", url, ""); len(body) != 1000 {
		t.Errorf("got %d bytes, want 1000", len(body))
	}
}

// lpServer is a server without a network, for virtual time.
func lpServer(t *testing.T, n *echoNode) (request func(ctx context.Context, query, body string) *httptest.ResponseRecorder, end func()) {
	t.Helper()
	s, err := New(Config{Node: n, Listener: listen(t)})
	if err != nil {
		t.Fatal(err)
	}
	request = func(ctx context.Context, query, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.fronts[0].Handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/v0/channels/lp"+goodKey+query, strings.NewReader(body)))
		return w
	}
	return request, func() { s.stop(); s.wg.Wait() }
}

func TestLongPollExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newEcho()
		request, end := lpServer(t, n)
		defer end()
		sid := "&sid=" + ctrlOf(t, request(t.Context(), "", "").Body.String()).Params["sid"].(string)

		time.Sleep(20 * time.Second) // so that it would expire during the poll
		start := time.Now()
		if w := request(t.Context(), sid, ""); w.Code != 200 || w.Body.Len() != 0 {
			t.Errorf("a poll without news: HTTP %d %q", w.Code, w.Body)
		}
		if d := time.Since(start); d != pollWait {
			t.Errorf("a poll without news took %v", d)
		}
		time.Sleep(pollExpiry - time.Second)
		if w := request(t.Context(), sid, "x"); w.Code != 200 {
			t.Errorf("just before it expires: HTTP %d", w.Code)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		request(ctx, sid, "") // fetches x
		request(ctx, sid, "") // the client goes away while polling
		time.Sleep(pollExpiry - time.Second)
		if n.sum() != 1 {
			t.Error("expired too early")
		}
		time.Sleep(2 * time.Second)
		if w := request(t.Context(), sid, ""); w.Code != 403 {
			t.Errorf("after it expired: HTTP %d", w.Code)
		}
		if n.sum() != 0 {
			t.Error("the session outlived its last request")
		}
	})
}

func TestLongPollBusySession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		request, end := lpServer(t, newEcho())
		defer end()
		sid := "&sid=" + ctrlOf(t, request(t.Context(), "", "").Body.String()).Params["sid"].(string)
		request(t.Context(), sid, "x") // the echo now waits for a poll
		start := time.Now()
		w := request(t.Context(), sid, "y")
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || time.Since(start) != sendWait {
			t.Errorf("HTTP %d after %v", w.Code, time.Since(start))
		}
	})
}

func TestLongPollEndsWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		request, end := lpServer(t, newEcho())
		sid := "&sid=" + ctrlOf(t, request(t.Context(), "", "").Body.String()).Params["sid"].(string)
		var wg sync.WaitGroup
		wg.Go(func() {
			if w := request(t.Context(), sid, ""); w.Code != 403 {
				t.Errorf("a poll at the end: HTTP %d %s", w.Code, w.Body)
			}
		})
		synctest.Wait()
		end()
		wg.Wait()
	})
}
