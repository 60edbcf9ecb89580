package node

import (
	"slices"
	"testing"

	"parley/store"
)

func TestFileIDs(t *testing.T) {
	const id, other = "AbCdEfGhIjKlMnOpQrSt_-01", "zzzzzzzzzzzzzzzzzzzzzzzz"
	refs := []string{
		"/v0/file/s/node.test/" + id + ".png",
		"/v0/file/s/Node.Test/" + id,         // the same again
		"./node.test/" + other + ".jpg?x=/y", // relative to where files are
		"/v0/file/s/peer.test/" + id,
		"https://node.test/v0/file/s/node.test/" + id,
		"//node.test/" + id, "/v0/file/u/" + id, "mid:uploading", "", "/", ".", "zzz",
		"/v0/file/s/node.test/../" + id, "/v0/file/s/node.test/" + id + "/x", id + "0",
	}
	if got := fileIDs("node.test", refs); !slices.Equal(got, []string{id, other}) {
		t.Errorf("got %q", got)
	}
	if got := fileIDs("node.test", []string{id + ".gif"}); !slices.Equal(got, []string{id}) {
		t.Errorf("a bare name: %q", got)
	}
}

func TestFilePath(t *testing.T) {
	for _, c := range []struct{ mime, name, want string }{
		{"image/jpeg", "a.png", ".jpg"},
		{"application/x-thing", "A.Tar.GZ", ".gz"},
		{"application/x-thing", "a.../etc", ""},
		{"application/x-thing", "a.%2f", ""},
		{"application/x-thing", "a.verylongext", ""},
		{"application/x-thing", "a.", ""},
		{"", "", ""},
	} {
		f := &store.File{ID: newFileID(), MIME: c.mime, Name: c.name}
		path := FilePath("node.test", f)
		if want := "/v0/file/s/node.test/" + f.ID + c.want; path != want {
			t.Errorf("%s %q: %s, want %s", c.mime, c.name, path, want)
		}
		if got := fileIDs("node.test", []string{path}); !slices.Equal(got, []string{f.ID}) {
			t.Errorf("%s: read back as %q", path, got)
		}
	}
}
