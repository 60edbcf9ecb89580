package httpd

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"parley/node"
	"parley/protocol/ws"
)

// talk is a client that asks and waits for the answer.
type talk struct {
	t *testing.T
	c *ws.Conn
	n int
}

// ask sends {verb: {id, …}} and returns the params of the answer with that id,
// and its topic among them.
func (k *talk) ask(want int, verb, rest string) map[string]any {
	k.t.Helper()
	k.n++
	id := fmt.Sprint(k.n)
	send(k.t, k.c, fmt.Sprintf(`{%q:{"id":%q%s}}`, verb, id, rest))
	for {
		p, err := k.c.Read()
		if err != nil {
			k.t.Fatal(err)
		}
		var r struct {
			Ctrl struct {
				ID, Topic string
				Code      int
				Params    map[string]any
			}
		}
		if err := json.Unmarshal(p, &r); err != nil {
			k.t.Fatal(err)
		}
		if r.Ctrl.ID != id {
			continue
		}
		if r.Ctrl.Code != want {
			k.t.Fatalf("%s%s: %s, want %d", verb, rest, p, want)
		}
		if r.Ctrl.Params == nil {
			r.Ctrl.Params = map[string]any{}
		}
		r.Ctrl.Params["topic"] = r.Ctrl.Topic
		return r.Ctrl.Params
	}
}

// login makes an account and a session of it.
func (h *house) login(name string) *talk {
	h.t.Helper()
	c, refused := dialWS(h.t, h.addr, goodKey, nil)
	if refused != nil {
		h.t.Fatal(refused)
	}
	k := &talk{t: h.t, c: c}
	k.ask(201, "hi", `,"ver":"0.25","ua":"test/1"`)
	k.ask(200, "acc", fmt.Sprintf(`,"user":"new","scheme":"basic","login":true,"secret":%q`, base64.StdEncoding.EncodeToString([]byte(name+":password"))))
	k.ask(200, "sub", `,"topic":"me"`)
	return k
}

func TestSlowReaderHurtsNobodyElse(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := newHouse(t, func(c *node.Config) {
		c.Metrics, c.Limits.SendQueue, c.Limits.SessionBurst = reg, 256<<10, 1e6
	})
	slow, fast, author := h.login("slowly"), h.login("quickly"), h.login("author")
	topic := fmt.Sprintf(`,"topic":%q`, author.ask(200, "sub", `,"topic":"new1"`)["topic"])
	slow.ask(200, "sub", topic)
	fast.ask(200, "sub", topic)
	const most = 1000 // of 100 KB: more than the sockets of the slow one can hold
	content := `,"noecho":true,"content":"` + strings.Repeat("x", 100_000) + `"`
	sent := 0
	for cutOff(t, reg) == 0 {
		if sent++; sent > most {
			t.Fatal("the slow reader is still there")
		}
		start := time.Now()
		author.ask(202, "pub", topic+content)
		for seq := 0; seq == 0; {
			p, err := fast.c.Read()
			if err != nil {
				t.Fatal(err)
			}
			var r struct{ Data struct{ Seq int } }
			_ = json.Unmarshal(p, &r)
			seq = r.Data.Seq
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Fatalf("message %d took %v", sent, d)
		}
	}
	got := 0
	for {
		p, err := slow.c.Read()
		if err != nil {
			break
		}
		if strings.HasPrefix(string(p), `{"data"`) {
			got++
		}
	}
	if got == 0 || got >= sent {
		t.Errorf("the slow reader got %d of %d messages before it was cut off", got, sent)
	}
}

// cutOff is how many slow readers have been closed.
func cutOff(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.GetName() == "parley_sessions_slow_total" {
			return m.Metric[0].Counter.GetValue()
		}
	}
	t.Fatal("no such metric")
	return 0
}

func TestSessionOverLongPolling(t *testing.T) {
	h := newHouse(t, nil)
	base := "http://" + h.addr + "/v0/channels/lp" + goodKey
	_, body := do(t, "POST", base, "")
	url := base + "&sid=" + ctrlOf(t, body).Params["sid"].(string)
	for _, c := range []struct {
		packet string
		want   int
	}{
		{`{"hi":{"id":"1","ver":"0.25"}}`, 200},
		{`{"login":{"id":"2","scheme":"token","secret":"` + h.token + `"}}`, 200},
		{`{"sub":{"id":"3","topic":"me"}}`, 200},
		{`nonsense`, 400},
	} {
		if resp, body := do(t, "POST", url, c.packet); resp.StatusCode != 200 || body != "" {
			t.Errorf("sending %s: HTTP %d %q", c.packet, resp.StatusCode, body)
		}
		if resp, body := do(t, "POST", url, ""); resp.StatusCode != 200 || ctrlOf(t, body).Code != c.want {
			t.Errorf("answer to %s: HTTP %d %s", c.packet, resp.StatusCode, body)
		}
	}
	do(t, "POST", url, "1")
	if _, body := do(t, "GET", url, ""); body != "0" {
		t.Errorf("probe: %q", body)
	}
}
