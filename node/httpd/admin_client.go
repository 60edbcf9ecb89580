package httpd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// AdminClient speaks to a node as its operator: the other end of [Admin].
type AdminClient struct {
	HTTP  *http.Client
	Base  string // "http://127.0.0.1:6061"
	Token string
}

// Do sends a request; in and out are JSON unless nil. What the node refuses is an
// *AdminError.
func (c *AdminClient) Do(ctx context.Context, method, path string, in, out any) error {
	body, err := c.Send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(body).Decode(out)
}

// Send returns the body of a good answer, to be closed.
func (c *AdminClient) Send(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < http.StatusMultipleChoices {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	refusal := new(AdminError)
	if err := json.NewDecoder(resp.Body).Decode(refusal); err != nil || refusal.Text == "" {
		return nil, fmt.Errorf("the node answers %s", resp.Status)
	}
	return nil, refusal
}
