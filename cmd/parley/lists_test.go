package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/federation"
	"parley/protocol"
	"parley/reputation"
)

// A list is not fetched from this machine, also not where a public site leads there, nor
// is it more than it may be.
func TestListsStayOutside(t *testing.T) {
	asked := false
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked = true
		w.Write([]byte("secret"))
	}))
	defer site.Close()
	client := listClient(federation.NewFence(protocol.Node("chat.example.org"), true))
	text, err := fetchList(t.Context(), client, site.URL)
	if !errors.Is(err, federation.ErrFenced) || text != nil || asked {
		t.Errorf("%q, %v, asked %v", text, err, asked)
	}
	req := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/", nil)
	if client.CheckRedirect(req, nil) == nil {
		t.Error("a redirect to http: is followed")
	}
	big := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(big, []byte(strings.Repeat("x", reputation.MaxList+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readList(big); err == nil {
		t.Error("a list of any size is read")
	}
}
