package tour

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"

	"parley/protocol"
)

// fileSize is that of the file that goes from node to node, in bytes.
const fileSize = 300_000

// file sends a file from one to the other, who opens it at the own node.
func (w *walk) file(ctx context.Context, from, to *visitor) error {
	content := make([]byte, fileSize)
	rand.Read(content) // never fails
	link, err := from.upload(ctx, content)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	message, err := json.Marshal(map[string]any{"txt": "A file for " + to.guest.Login, "fmt": []any{map[string]any{"at": -1}},
		"ent": []any{map[string]any{"tp": "EX", "data": map[string]any{"mime": "application/octet-stream", "name": "tour.bin", "ref": link, "size": fileSize}}}})
	if err != nil {
		return err
	}
	r, err := from.c.Do(ctx, &protocol.Request{Pub: &protocol.Pub{Topic: to.c.User(), Content: message,
		Head: map[string]json.RawMessage{"mime": json.RawMessage(`"text/x-drafty"`)}}, Extra: &protocol.Extra{Attachments: []string{link}}})
	if err != nil {
		return err
	}
	if r.Ctrl.Code >= 300 {
		return fmt.Errorf("publish: %d %s", r.Ctrl.Code, r.Ctrl.Text)
	}
	d, err := to.data(ctx, from.c.User(), "A file for "+to.guest.Login)
	if err != nil {
		return err
	}
	var drafty struct {
		Ent []struct{ Data struct{ Ref string } }
	}
	if err := json.Unmarshal(d.Content, &drafty); err != nil || len(drafty.Ent) != 1 {
		return fmt.Errorf("the message has no link: %w", err)
	}
	got, err := to.download(ctx, drafty.Ent[0].Data.Ref, "")
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	if !bytes.Equal(got, content) {
		return errors.New("the file is not what was sent")
	}
	part, err := to.download(ctx, drafty.Ent[0].Data.Ref, "bytes=1000-1999")
	if err == nil && !bytes.Equal(part, content[1000:2000]) {
		err = errors.New("not the bytes that were asked for")
	}
	if err != nil {
		return fmt.Errorf("a part of the file: %w", err)
	}
	return nil
}

// upload stores a file at the visitor's node and returns its link.
func (v *visitor) upload(ctx context.Context, content []byte) (string, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "tour.bin")
	if err != nil {
		return "", err
	}
	if _, err := part.Write(content); err != nil {
		return "", err
	}
	if err := errors.Join(form.WriteField("id", "1"), form.Close()); err != nil {
		return "", err
	}
	at, err := url.JoinPath(v.guest.URL, "v0/file/u/")
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, &body)
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	answer, err := v.do(req, http.StatusOK)
	if err != nil {
		return "", err
	}
	var r struct {
		Ctrl struct {
			Params struct {
				URL string `json:"url"`
			} `json:"params"`
		} `json:"ctrl"`
	}
	err = json.Unmarshal(answer, &r)
	return r.Ctrl.Params.URL, err
}

// download gets a file by its link from the visitor's node.
func (v *visitor) download(ctx context.Context, link, bytesRange string) ([]byte, error) {
	base, err := url.Parse(v.guest.URL)
	if err != nil {
		return nil, err
	}
	at, err := base.Parse(link)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	want := http.StatusOK
	if bytesRange != "" {
		req.Header.Set("Range", bytesRange)
		want = http.StatusPartialContent
	}
	return v.do(req, want)
}

// do makes a request in the visitor's name and wants a certain status.
func (v *visitor) do(req *http.Request, want int) ([]byte, error) {
	req.Header.Set("X-Tinode-APIKey", protocol.DefaultAPIKey)
	req.Header.Set("X-Tinode-Auth", "Token "+base64.StdEncoding.EncodeToString(v.token))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 2*fileSize))
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s: %.200s", resp.Status, body)
	}
	return body, err
}
