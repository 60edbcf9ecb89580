package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"parley/cmd/parley/config"
)

// listeners are all that a node opens; redirect is nil without HTTPS.
type listeners struct{ http, admin, redirect net.Listener }

// listen opens what the settings say, or nothing.
func listen(ctx context.Context, s *config.Settings) (l listeners, err error) {
	defer func() {
		if err != nil {
			l.close()
			l = listeners{}
		}
	}()
	if l.http, err = listenOn(ctx, s.HTTP.Listen, "--http", "http.listen"); err != nil {
		return l, err
	}
	if l.admin, err = listenAdmin(ctx, s); err != nil {
		return l, err
	}
	if s.HTTP.Redirect != "" {
		l.redirect, err = listenOn(ctx, s.HTTP.Redirect, "", "http.redirect")
	}
	return l, err
}

func (l listeners) close() {
	for _, one := range []net.Listener{l.http, l.admin, l.redirect} {
		if one != nil {
			one.Close()
		}
	}
}

// listenAdmin takes any free port if the default is taken: most likely another
// node on this machine has it.
func listenAdmin(ctx context.Context, s *config.Settings) (net.Listener, error) {
	l, err := listenOn(ctx, s.Admin.Listen, "--admin", "admin.listen")
	if errors.Is(err, syscall.EADDRINUSE) && !s.Set("admin.listen") {
		return listenOn(ctx, "127.0.0.1:0", "--admin", "admin.listen")
	}
	return l, err
}

// listenOn says which flag or key to change if it cannot listen.
func listenOn(ctx context.Context, address, flag, key string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err == nil {
		return l, nil
	}
	change := "set " + key
	if flag != "" {
		change = "use " + flag + " or set " + key
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program listens on %s; choose another port: %s (%w)", address, change, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("the system does not let this user listen on %s: ports below 1024 need a right of their own; choose another: %s (%w)", address, change, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine has no address %s; choose another: %s (%w)", address, change, err)
	}
	return nil, fmt.Errorf("cannot listen on %s; choose another: %s (%w)", address, change, err)
}

// urlOf is what to open in a browser for a listener: by the node's name where a
// certificate or the world wants it, else by number, since *.localhost does not
// resolve everywhere.
func urlOf(s *config.Settings, name string, l net.Listener) string {
	scheme, usual := "http", "80"
	if s.HTTP.ACME || s.HTTP.TLSCert != "" {
		scheme, usual = "https", "443"
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	public := name != config.DefaultName && !strings.HasSuffix(name, "."+config.DefaultName)
	if scheme == "https" || public && !config.Loopback(l.Addr().String()) {
		host = name
	}
	if port == usual {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return scheme + "://" + host + "/"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/"
}
