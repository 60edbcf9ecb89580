package siege

import (
	"context"
	"encoding/json"
	"errors"

	"parley/federation/fedtest/rogue"
	"parley/protocol"
	"parley/protocol/client"
	"parley/testnet"
)

// users are those of the victim.
type users struct{ alice, carol *client.Client }

// newUsers makes alice, who talks to the rogue's user and has a group of her own, and
// carol, who talks to nobody.
func newUsers(ctx context.Context, url string, w *rogue.World) (u *users, err error) {
	u = new(users)
	defer func() {
		if err != nil {
			err = errors.Join(err, u.close())
		}
	}()
	if u.alice, err = signUp(ctx, url, "alice"); err != nil {
		return nil, err
	}
	if u.carol, err = signUp(ctx, url, "carol"); err != nil {
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
	w.Shown = u.shown
	return u, nil
}

func signUp(ctx context.Context, url, login string) (*client.Client, error) {
	c, err := testnet.Dial(ctx, url, client.Config{Events: 1000})
	if err != nil {
		return nil, err
	}
	if _, err := c.CreateAccount(ctx, client.Account{Login: login, Password: "a long password", Public: map[string]string{"fn": login}}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	_, err = c.Subscribe(ctx, &protocol.Sub{Topic: "me"})
	return c, err
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
	return errors.Join(all...)
}
