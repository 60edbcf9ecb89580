package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/netip"
	"net/smtp"
	"strings"
	"time"
)

// TLSMode is how a mail server is spoken to.
type TLSMode string

// The modes.
const (
	StartTLS    TLSMode = "starttls" // RFC 3207, usually port 587; the server must offer it
	ImplicitTLS TLSMode = "tls"      // RFC 8314, usually port 465
	NoTLS       TLSMode = "none"     // to a server on this machine only
)

// DefaultSMTPTimeout is how long handing over one message may take.
const DefaultSMTPTimeout = 20 * time.Second

// SMTPConfig names the server that takes the node's mail.
type SMTPConfig struct {
	Addr     string // host:port
	TLS      TLSMode
	Username string // empty: without AUTH
	Password string
	From     string         // "Chat <chat@example.org>"
	Hello    string         // name of this machine in EHLO; empty: the domain of From
	Timeout  time.Duration  // 0: DefaultSMTPTimeout
	Roots    *x509.CertPool // nil: those of the system
}

// SMTP sends messages as mail (RFC 5321) in plain text.
type SMTP struct {
	cfg  SMTPConfig
	host string
	from *mail.Address
}

// NewSMTP checks the configuration; it does not connect.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return nil, fmt.Errorf("auth: mail server %q: must be host:port", c.Addr)
	}
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("auth: mail sender %q: %w", c.From, err)
	}
	switch c.TLS {
	case "":
		c.TLS = StartTLS
	case StartTLS, ImplicitTLS:
	case NoTLS:
		if !loopback(host) {
			return nil, fmt.Errorf("auth: mail server %q: without TLS codes and password could be read on the way", c.Addr)
		}
	default:
		return nil, fmt.Errorf("auth: mail server: tls = %q: must be %q, %q or %q", c.TLS, StartTLS, ImplicitTLS, NoTLS)
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultSMTPTimeout
	}
	if c.Hello == "" {
		c.Hello = domainOf(from.Address)
	}
	return &SMTP{cfg: c, host: host, from: from}, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// Send implements Sender. It returns when the server has taken the message.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	body, err := s.compose(m, time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // a server that hangs is hung up on
	if err := s.deliver(conn, m.To, body); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("mail server: %w", err))
	}
	return nil
}

func (s *SMTP) tls() *tls.Config {
	return &tls.Config{ServerName: s.host, RootCAs: s.cfg.Roots, MinVersion: tls.VersionTLS12}
}

func (s *SMTP) dial(ctx context.Context) (net.Conn, error) {
	if s.cfg.TLS == ImplicitTLS {
		return (&tls.Dialer{Config: s.tls()}).DialContext(ctx, "tcp", s.cfg.Addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", s.cfg.Addr)
}

var errNoStartTLS = errors.New("does not offer STARTTLS")

func (s *SMTP) deliver(conn net.Conn, to string, body []byte) error {
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return err
	}
	if err := c.Hello(s.cfg.Hello); err != nil {
		return err
	}
	if s.cfg.TLS == StartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errNoStartTLS
		}
		if err := c.StartTLS(s.tls()); err != nil {
			return err
		}
	}
	if s.cfg.Username != "" {
		if err := c.Auth(smtp.PlainAuth("", s.cfg.Username, s.cfg.Password, s.host)); err != nil {
			return err
		}
	}
	if err := c.Mail(s.from.Address); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the message has been taken already
	return nil
}

// compose writes the message (RFC 5322). Auto-Submitted keeps vacation programs
// from answering (RFC 3834).
func (s *SMTP) compose(m Message, now time.Time) ([]byte, error) {
	if strings.ContainsAny(m.To, "\r\n<>") {
		return nil, errEmail
	}
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("Date", now.UTC().Format(time.RFC1123Z))
	header("From", s.from.String())
	header("To", "<"+m.To+">")
	header("Message-ID", "<"+hex.EncodeToString(random(16))+"@"+domainOf(s.from.Address)+">")
	header("Subject", mime.QEncoding.Encode("utf-8", strings.Map(oneLine, m.Subject)))
	header("Auto-Submitted", "auto-generated")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(m.Text)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func oneLine(c rune) rune {
	if c == '\r' || c == '\n' {
		return ' '
	}
	return c
}
