package auth

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// mailServer is as much of RFC 5321 as a submission needs, for one connection.
type mailServer struct {
	cert     tls.Certificate
	implicit bool // TLS from the first byte
	noTLS    bool // STARTTLS is not offered
	reject   bool // the recipient

	secure   bool // what was seen
	auth     string
	from, to string
	data     string
}

// serve listens, takes one connection, and returns where.
func (m *mailServer) serve(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if m.implicit {
			c, m.secure = tls.Server(c, m.tls()), true
		}
		m.session(c)
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

func (m *mailServer) tls() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{m.cert}} }

func (m *mailServer) session(c net.Conn) {
	r := bufio.NewReader(c)
	say := func(s string) { fmt.Fprint(c, s+"\r\n") }
	say("220 mail.example.org")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-mail.example.org")
			if !m.noTLS && !m.secure {
				say("250-STARTTLS")
			}
			say("250 AUTH PLAIN")
		case "STARTTLS":
			say("220 go ahead")
			c = tls.Server(c, m.tls())
			r, m.secure = bufio.NewReader(c), true
		case "AUTH":
			m.auth = strings.TrimPrefix(rest, "PLAIN ")
			say("235 ok")
		case "MAIL":
			m.from = rest
			say("250 ok")
		case "RCPT":
			m.to = rest
			if m.reject {
				say("550 no such user")
				continue
			}
			say("250 ok")
		case "DATA":
			say("354 go on")
			m.data = readDots(r)
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		}
	}
}

func readDots(r *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return b.String()
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}

// certFor makes a certificate for 127.0.0.1 and the pool that trusts it.
func certFor(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestSMTP(t *testing.T) {
	cert, pool := certFor(t)
	for name, c := range map[string]struct {
		server mailServer
		mode   TLSMode
		user   string
		secure bool
		fails  bool
	}{
		"starttls":             {mailServer{cert: cert}, "", "ann", true, false},
		"implicit":             {mailServer{cert: cert, implicit: true}, ImplicitTLS, "ann", true, false},
		"plain on loopback":    {mailServer{}, NoTLS, "", false, false},
		"starttls not offered": {mailServer{noTLS: true}, StartTLS, "", false, true},
		"recipient unknown":    {mailServer{cert: cert, reject: true}, StartTLS, "", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := &c.server
			s, err := NewSMTP(SMTPConfig{Addr: m.serve(t), TLS: c.mode, Username: c.user, Password: "pw", From: "Chat <chat@example.org>", Roots: pool})
			if err != nil {
				t.Fatal(err)
			}
			err = s.Send(t.Context(), testMessage)
			if (err != nil) != c.fails || m.secure != c.secure {
				t.Fatalf("Send: %v; over TLS: %v", err, m.secure)
			}
			if c.fails {
				if m.data != "" || strings.Contains(err.Error(), testMessage.Code) {
					t.Errorf("after %v the server has %q", err, m.data)
				}
				return
			}
			if want := base64.StdEncoding.EncodeToString([]byte("\x00ann\x00pw")); c.user != "" && m.auth != want {
				t.Errorf("AUTH %q, want %q", m.auth, want)
			}
			if !strings.HasPrefix(m.from, "FROM:<chat@example.org>") || !strings.HasPrefix(m.to, "TO:<ann@example.org>") {
				t.Errorf("envelope %q %q", m.from, m.to)
			}
			checkMail(t, m.data, testMessage)
		})
	}
}

// checkMail reads a message as a mail program does.
func checkMail(t *testing.T, data string, want Message) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || strings.ReplaceAll(string(body), "\r\n", "\n") != want.Text {
		t.Errorf("body %q, %v", body, err)
	}
	if subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); subject != want.Subject || err != nil {
		t.Errorf("subject %q, %v", subject, err)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != want.To {
		t.Errorf("To %v, %v", to, err)
	}
	if d, err := m.Header.Date(); err != nil || time.Since(d) > time.Minute {
		t.Errorf("Date %v, %v", d, err)
	}
	for h, want := range map[string]string{"Auto-Submitted": "auto-generated", "Mime-Version": "1.0", "Content-Type": "text/plain; charset=utf-8"} {
		if m.Header.Get(h) != want {
			t.Errorf("%s: %q", h, m.Header.Get(h))
		}
	}
	if id := m.Header.Get("Message-ID"); !strings.HasSuffix(id, "@example.org>") {
		t.Errorf("Message-ID %q", id)
	}
}

func TestSMTPCompose(t *testing.T) {
	s, err := NewSMTP(SMTPConfig{Addr: "127.0.0.1:25", From: "Gespräch <chat@example.org>"})
	if err != nil {
		t.Fatal(err)
	}
	m := Message{To: "ann@example.org", Subject: "Ihr Schlüssel\r\nBcc: eve@example.org", Text: ".\nÜberlange " + strings.Repeat("Zeile ", 300) + "\n"}
	b, err := s.compose(m, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if len(line) > 998 || !strings.HasSuffix(line, "\r\n") && line[0] >= 0x80 {
			t.Errorf("line %q", line)
		}
		if strings.HasPrefix(line, "Bcc") {
			t.Error("a header was injected")
		}
	}
	m.Subject = "Ihr Schlüssel  Bcc: eve@example.org"
	checkMail(t, string(b), m)
	if _, err := s.compose(Message{To: "ann@example.org>\r\nRCPT TO:<eve@example.org"}, time.Now()); err == nil {
		t.Error("a recipient with a line break was accepted")
	}
}

func TestSMTPHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := NewSMTP(SMTPConfig{Addr: l.Addr().String(), TLS: NoTLS, From: "chat@example.org", Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := s.Send(t.Context(), testMessage); err == nil || time.Since(begin) > 10*time.Second {
		t.Errorf("Send = %v after %v", err, time.Since(begin))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(ctx, testMessage); err == nil {
		t.Error("Send with an ended context succeeded")
	}
}

func TestSMTPConfig(t *testing.T) {
	for _, c := range []SMTPConfig{
		{Addr: "mail.example.org", From: "a@b.c"},
		{Addr: "mail.example.org:25", From: "nobody"},
		{Addr: "mail.example.org:25", From: "a@b.c", TLS: NoTLS},
		{Addr: "mail.example.org:25", From: "a@b.c", TLS: "maybe"},
	} {
		if _, err := NewSMTP(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}
