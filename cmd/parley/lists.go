package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"parley/cmd/parley/config"
	"parley/federation"
	"parley/node"
	"parley/protocol"
	"parley/reputation"
)

const (
	listTimeout   = 30 * time.Second
	listRedirects = 2
)

// listSources are the lists that are followed. A node fetches them where others may lead
// it, and nowhere else (spec/security.md#steps-outward).
func listSources(s *config.Settings, self protocol.Node) ([]node.ListSource, error) {
	var all []node.ListSource
	client := listClient(federation.NewFence(self, s.S2S.AllowPrivate))
	for _, l := range s.Reputation.Lists {
		key, err := federation.ParsePin(l.Key)
		if err != nil {
			return nil, err
		}
		fetch := func(context.Context) ([]byte, error) { return readList(l.From) }
		if strings.HasPrefix(l.From, "https://") {
			fetch = func(ctx context.Context) ([]byte, error) { return fetchList(ctx, client, l.From) }
		}
		all = append(all, node.ListSource{Name: l.Name, Key: key, Fetch: fetch})
	}
	return all, nil
}

func listClient(fence federation.Fence) *http.Client {
	d := net.Dialer{Timeout: listTimeout, Control: fence.Control} // asked about the address, after the name was resolved
	return &http.Client{
		Timeout:   listTimeout,
		Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: listTimeout},
		CheckRedirect: func(r *http.Request, before []*http.Request) error {
			if r.URL.Scheme != "https" || len(before) > listRedirects {
				return errors.New("a redirect that is not followed")
			}
			return nil
		},
	}
}

func fetchList(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", from, resp.Status)
	}
	return wholeList(resp.Body)
}

func readList(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return wholeList(f)
}

func wholeList(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, reputation.MaxList+1))
	if err == nil && len(text) > reputation.MaxList {
		err = fmt.Errorf("the list has more than %d bytes", reputation.MaxList)
	}
	return text, err
}
