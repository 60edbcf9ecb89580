package httpd

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// Whoever asks for a backup and does not read it is cut off.
func TestStalledBackupEnds(t *testing.T) {
	ended := make(chan error, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := &impatient{w, 50 * time.Millisecond, time.Now().Add(time.Hour)}
		var err error
		for chunk := make([]byte, 1<<20); err == nil; {
			_, err = out.Write(chunk)
		}
		ended <- err
	}))
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing to nobody ended with %v", err)
	}
}
