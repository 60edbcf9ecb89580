package siege

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"parley/federation/fedtest/rogue"
	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet"
)

// users are those of the victim.
type users struct {
	alice, carol *client.Client
	token        []byte // of alice
	wg           sync.WaitGroup
}

// newUsers makes alice, who talks to the rogue's user and has a group of her own, and
// carol, who talks to nobody.
func newUsers(ctx context.Context, url string, w *rogue.World) (u *users, err error) {
	u = new(users)
	defer func() {
		if err != nil {
			err = errors.Join(err, u.close())
		}
	}()
	if u.alice, u.token, err = signUp(ctx, url, "alice"); err != nil {
		return nil, err
	}
	if u.carol, _, err = signUp(ctx, url, "carol"); err != nil {
		return nil, err
	}
	w.Alice, w.Carol = protocol.UserID(u.alice.User()), protocol.UserID(u.carol.User())
	if _, err := u.alice.Subscribe(ctx, &protocol.Sub{Topic: string(w.Mallory())}); err != nil {
		return nil, err
	}
	group, err := u.alice.Subscribe(ctx, &protocol.Sub{Topic: "new"})
	if err != nil {
		return nil, err
	}
	w.Group = protocol.TopicID(group.Topic)
	if _, err := u.alice.Publish(ctx, group.Topic, "among ourselves"); err != nil {
		return nil, err
	}
	for _, c := range []*client.Client{u.alice, u.carol} {
		u.wg.Go(func() { // nobody looks at what comes unasked
			for range c.Events() {
			}
		})
	}
	w.Shown, w.Attach, w.Say, w.Wants = u.shown, u.attach, u.say, u.wants
	at := strings.TrimSuffix(strings.Replace(url, "ws://", "http://", 1), "/v0/channels")
	w.Fetch = func(ctx context.Context, ref string) (*rogue.File, error) { return u.fetch(ctx, at+ref) }
	return u, nil
}

func signUp(ctx context.Context, url, login string) (*client.Client, []byte, error) {
	c, err := testnet.Dial(ctx, url, client.Config{Events: 1000})
	if err != nil {
		return nil, nil, err
	}
	s, err := c.CreateAccount(ctx, client.Account{Login: login, Password: "a long password", Public: map[string]string{"fn": login}})
	if err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	_, err = c.Subscribe(ctx, &protocol.Sub{Topic: "me"})
	return c, s.Token, err
}

func (u *users) attach(ctx context.Context, topic string) error {
	_, err := u.alice.Subscribe(ctx, &protocol.Sub{Topic: topic})
	return err
}

func (u *users) say(ctx context.Context, topic, text string) (code int, err error) {
	_, err = u.alice.Publish(ctx, topic, text)
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Code, nil
	}
	return http.StatusAccepted, err
}

func (u *users) wants(ctx context.Context, topic string) (map[string]protocol.Mode, error) {
	subs, err := u.alice.GetSubs(ctx, topic)
	if err != nil {
		return nil, err
	}
	modes := map[string]protocol.Mode{}
	for _, s := range subs {
		if s.Acs == nil {
			continue
		}
		m, err := protocol.ParseMode(s.Acs.Want)
		if err != nil {
			return nil, err
		}
		modes[s.User] = m
	}
	return modes, nil
}

// fetch gets a file as alice's client does.
func (u *users) fetch(ctx context.Context, url string) (*rogue.File, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Tinode-APIKey", protocol.DefaultAPIKey)
	r.Header.Set("X-Tinode-Auth", "Token "+base64.StdEncoding.EncodeToString(u.token))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return &rogue.File{Code: resp.StatusCode, Header: resp.Header}, errors.Join(err, resp.Body.Close())
}

func (u *users) shown(ctx context.Context, with string) ([]string, error) {
	data, err := u.alice.GetData(ctx, with, protocol.GetRanges{})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, d := range data {
		b, err := json.Marshal(d)
		if err != nil {
			return nil, err
		}
		all = append(all, string(b))
	}
	return all, nil
}

func (u *users) close() error {
	var all []error
	for _, c := range []*client.Client{u.alice, u.carol} {
		if c != nil {
			all = append(all, c.Close())
		}
	}
	u.wg.Wait()
	return errors.Join(all...)
}
