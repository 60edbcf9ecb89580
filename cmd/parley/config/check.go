package config

import (
	"fmt"
	"math"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"parley/federation"
	"parley/protocol"
)

// Registration says who may make an account.
const (
	Open   = "open"
	Closed = "closed"
)

// The senders of confirmation codes.
const (
	SendLog  = "log"
	SendExec = "exec"
	SendSMTP = "smtp"
)

// Check judges every value, and how they go together. Its error joins a
// [Problem] for each that is wrong, in the order of the file. It fills in what
// follows from the others: accounts.registration.
func (s *Settings) Check() error {
	var all []*Problem
	for _, check := range []func(*Settings) []*Problem{
		(*Settings).checkNode,
		(*Settings).checkHTTP,
		(*Settings).checkTLS,
		(*Settings).checkAdmin,
		(*Settings).checkRegistration,
		(*Settings).checkRequired,
		(*Settings).checkEmail,
		(*Settings).checkTel,
		(*Settings).checkCalls,
		(*Settings).checkNumbers,
		(*Settings).checkLog,
	} {
		all = append(all, check(s)...)
	}
	return inOrder(all)
}

// one is the list of one problem, or of none if text is empty.
func (s *Settings) one(key, text string) []*Problem {
	if text == "" {
		return nil
	}
	return []*Problem{s.problem(key, "%s", text)}
}

func (s *Settings) checkNode() []*Problem {
	var all []*Problem
	if s.Node.Name != "" {
		name, err := protocol.ParseNode(s.Node.Name)
		if err != nil {
			all = s.one("node.name", err.Error())
		} else {
			s.Node.Name = string(name)
		}
	}
	if s.Node.Data == "" {
		all = append(all, s.problem("node.data", "must not be empty; leave it out for %q", DefaultData))
	}
	return all
}

// local reports whether the node's name can only be reached from this machine.
func (s *Settings) local() bool {
	return s.Node.Name == "" || s.Node.Name == DefaultName || strings.HasSuffix(s.Node.Name, "."+DefaultName)
}

// checkListen says what is wrong with "host:port".
func checkListen(listen string) string {
	_, port, err := net.SplitHostPort(listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Sprintf(`%q is no address with port; write for example "127.0.0.1:6060" or ":6060"`, listen)
	}
	return ""
}

// Loopback reports whether only this machine can reach a listener on "host:port".
func Loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func (s *Settings) checkHTTP() []*Problem {
	all := s.one("http.listen", checkListen(s.HTTP.Listen))
	if s.HTTP.Web != "" {
		all = append(all, s.one("http.web", checkWeb(s.HTTP.Web))...)
	}
	for _, p := range s.HTTP.TrustedProxies {
		if _, err := ParseNetwork(p); err != nil {
			all = append(all, s.problem("http.trusted_proxies", "%s", err))
		}
	}
	if len(s.HTTP.APIKeys) == 0 {
		all = append(all, s.problem("http.api_keys", "must not be empty, or no client can connect; leave it out for the public clients' key"))
	}
	return append(all, s.checkS2S()...)
}

func (s *Settings) checkS2S() []*Problem {
	var all []*Problem
	if l := s.S2S.Listen; l != "" && l != NoLinks {
		all = s.one("s2s.listen", checkListen(l))
	}
	for _, r := range s.S2S.Resolvers {
		if _, err := netip.ParseAddrPort(r); err != nil {
			all = append(all, s.problem("s2s.resolvers", "%q is not address:port, such as 127.0.0.1:53", r))
		}
	}
	for key, list := range map[string][]string{"s2s.announce": s.S2S.Announce, "s2s.bootstrap": s.S2S.Bootstrap} {
		for _, a := range list {
			if err := federation.CheckHostPort(a); err != nil {
				all = append(all, s.problem(key, "%s", err))
			}
		}
	}
	switch s.S2S.DHT {
	case "", DHTServer, DHTClient, DHTOff:
	default:
		all = append(all, s.problem("s2s.dht", `%q is not "server", "client" or "off"`, s.S2S.DHT))
	}
	if _, ok := reaches[s.S2S.Reach]; !ok {
		all = append(all, s.problem("s2s.reach", `%q is not "auto", "yes" or "no"`, s.S2S.Reach))
	}
	for i, l := range s.Reputation.Lists {
		at := fmt.Sprintf("reputation.lists.%d", i)
		if l.Name == "" {
			all = append(all, s.problem(at, "name: is missing"))
		}
		if !strings.HasPrefix(l.From, "https://") && !filepath.IsAbs(l.From) {
			all = append(all, s.problem(at, "from: %q is no https: address and no full path", l.From))
		}
		if _, err := federation.ParsePin(l.Key); err != nil {
			all = append(all, s.problem(at, "key: %s", err))
		}
	}
	for i, p := range s.S2S.Peers {
		at := fmt.Sprintf("s2s.peers.%d", i)
		if _, err := protocol.ParseNode(p.Name); err != nil {
			all = append(all, s.problem(at, "name: %s", err))
		}
		for _, a := range p.Addresses {
			if err := federation.CheckHostPort(a); err != nil {
				all = append(all, s.problem(at, "addresses: %s", err))
			}
		}
		if p.Key != "" {
			if _, err := federation.ParsePin(p.Key); err != nil {
				all = append(all, s.problem(at, "key: %s", err))
			}
		}
	}
	return all
}

var reaches = map[string]federation.Reach{"auto": federation.ReachAuto, "yes": federation.ReachOpen, "no": federation.ReachOutward}

// Reach is whether other nodes can dial this one.
func (s *Settings) Reach() federation.Reach { return reaches[s.S2S.Reach] }

// NoLinks as the address for links means that there are none.
const NoLinks = "off"

// The parts that a node can have in the DHT.
const (
	DHTServer = "server"
	DHTClient = "client"
	DHTOff    = "off"
)

// PartInDHT is that of a node of a name.
func (s *Settings) PartInDHT(name protocol.Node) string {
	switch {
	case s.S2S.DHT != "":
		return s.S2S.DHT
	case len(s.S2S.Bootstrap) > 0, federation.KeyOf(name) != nil:
		return DHTServer
	}
	return DHTOff
}

// LinkAddress is where a node of a name listens for others; empty if it does not.
func (s *Settings) LinkAddress(name string) string {
	switch {
	case s.S2S.Listen == NoLinks, s.S2S.Listen == "" && name == DefaultName:
		return ""
	case s.S2S.Listen == "":
		return fmt.Sprintf(":%d", federation.DefaultPort)
	}
	return s.S2S.Listen
}

func checkWeb(dir string) string {
	if info, err := os.Stat(filepath.Join(dir, "index.html")); err != nil || !info.Mode().IsRegular() {
		return fmt.Sprintf("%s holds no index.html; name the directory of a web client that does", dir)
	}
	return ""
}

// ParseNetwork reads an address or a network in CIDR form.
func ParseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf(`%q is neither an address nor a network; write for example "127.0.0.1" or "10.0.0.0/8"`, s)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func (s *Settings) checkTLS() []*Problem {
	h := &s.HTTP
	var all []*Problem
	switch {
	case h.TLSCert != "" && h.TLSKey == "":
		all = s.one("http.tls_cert", "needs http.tls_key as well")
	case h.TLSKey != "" && h.TLSCert == "":
		all = s.one("http.tls_key", "needs http.tls_cert as well")
	case h.ACME && h.TLSCert != "":
		all = s.one("http.acme", "cannot go with http.tls_cert; remove one of the two")
	case h.ACME && s.local():
		all = s.one("http.acme", "needs a node.name in the public DNS, not one under localhost")
	case h.ACMEEmail != "" && !h.ACME:
		all = s.one("http.acme_email", "has no effect without http.acme = true")
	case h.ACMEDirectory != "" && !h.ACME:
		all = s.one("http.acme_directory", "has no effect without http.acme = true")
	}
	if h.Redirect != "" && h.TLSCert == "" && !h.ACME {
		all = append(all, s.problem("http.redirect", "has nowhere to lead: set http.tls_cert and http.tls_key, or http.acme"))
	} else if h.Redirect != "" {
		all = append(all, s.one("http.redirect", checkListen(h.Redirect))...)
	}
	for key, file := range map[string]string{"http.tls_cert": h.TLSCert, "http.tls_key": h.TLSKey} {
		all = append(all, s.one(key, checkFile(file))...)
	}
	return all
}

// checkFile says why a file cannot be read; "" is no file and no problem.
func checkFile(file string) string {
	if file == "" {
		return ""
	}
	f, err := os.Open(file)
	if err != nil {
		return "cannot be read: " + err.Error()
	}
	f.Close()
	return ""
}

func (s *Settings) checkAdmin() []*Problem {
	if text := checkListen(s.Admin.Listen); text != "" {
		return s.one("admin.listen", text)
	}
	if !Loopback(s.Admin.Listen) {
		return s.one("admin.listen", `must be on loopback, such as "`+DefaultAdmin+`": whoever reaches it can try to sign in as root`)
	}
	return nil
}

// checkRegistration does not let a node be open to the world unless that was said.
func (s *Settings) checkRegistration() []*Problem {
	const key = "accounts.registration"
	const choose = `write registration = "open" in [accounts], or "closed" so that only "parley user add" makes accounts (or use the flag --registration)`
	switch {
	case s.Accounts.Registration == Open || s.Accounts.Registration == Closed:
		return nil
	case s.Accounts.Registration != "":
		return s.one(key, fmt.Sprintf(`must be "open" or "closed", not %q`, s.Accounts.Registration))
	case !Loopback(s.HTTP.Listen) && checkListen(s.HTTP.Listen) == "":
		return s.one("http.listen", fmt.Sprintf("others than this machine can reach %s, so say whether they may make accounts: %s", s.HTTP.Listen, choose))
	case len(s.HTTP.TrustedProxies) > 0:
		return s.one("http.trusted_proxies", "others than this machine come in through the proxy, so say whether they may make accounts: "+choose)
	}
	s.Accounts.Registration = Open
	return nil
}

func (s *Settings) checkRequired() []*Problem {
	var all []*Problem
	senders := map[string]string{"email": s.Email.Sender, "tel": s.Tel.Sender}
	for _, method := range s.Accounts.Required {
		sender, known := senders[method]
		if !known {
			all = append(all, s.problem("accounts.required", `can have "email" and "tel", not %q`, method))
		} else if sender == "" {
			all = append(all, s.problem("accounts.required", "%s needs a way to send codes: set sender in [%s]", method, method))
		}
	}
	return all
}

func (s *Settings) checkEmail() []*Problem {
	e := &s.Email
	all := s.checkSender("email", e.Sender, e.Command, e.TestCode, SendSMTP)
	if e.Sender != SendSMTP {
		return all
	}
	if text := checkListen(e.SMTP); text != "" || strings.HasPrefix(e.SMTP, ":") {
		all = append(all, s.problem("email.smtp", `must be server and port for sender "smtp", such as "smtp.example.org:587"`))
	}
	if _, err := mail.ParseAddress(e.From); err != nil {
		all = append(all, s.problem("email.from", `must be an address for sender "smtp", such as "chat@example.org"`))
	}
	switch {
	case e.SMTPTLS != "starttls" && e.SMTPTLS != "tls" && e.SMTPTLS != "none":
		all = append(all, s.problem("email.smtp_tls", `must be "starttls", "tls" or "none", not %q`, e.SMTPTLS))
	case e.SMTPTLS == "none" && !Loopback(e.SMTP):
		all = append(all, s.problem("email.smtp_tls", `"none" is for a server on this machine only: codes and password could be read on the way`))
	}
	if e.SMTPUser != "" && e.SMTPPasswordFile == "" {
		all = append(all, s.problem("email.smtp_user", "needs email.smtp_password_file as well"))
	}
	return append(all, s.one("email.smtp_password_file", checkFile(e.SMTPPasswordFile))...)
}

func (s *Settings) checkTel() []*Problem {
	return s.checkSender("tel", s.Tel.Sender, s.Tel.Command, s.Tel.TestCode, "")
}

// checkSender judges what [email] and [tel] have in common; more is a sender
// beside log and exec.
func (s *Settings) checkSender(section, sender string, command []string, testCode, more string) []*Problem {
	var all []*Problem
	switch {
	case sender == "" || sender == SendLog || sender != "" && sender == more:
	case sender == SendExec && len(command) == 0:
		all = s.one(section+".command", `must name a program for sender "exec"`)
	case sender == SendExec && !filepath.IsAbs(command[0]):
		all = s.one(section+".command", fmt.Sprintf("must name the program by its full path, not %q", command[0]))
	case sender == SendExec:
		all = s.one(section+".command", checkProgram(command[0]))
	case more == "":
		all = s.one(section+".sender", fmt.Sprintf(`must be "log", "exec" or empty, not %q`, sender))
	default:
		all = s.one(section+".sender", fmt.Sprintf(`must be "log", "exec", %q or empty, not %q`, more, sender))
	}
	if testCode != "" && !s.local() {
		all = append(all, s.problem(section+".test_code", "would let anybody confirm any address; it is only for nodes named localhost"))
	}
	if testCode != "" && sender == "" {
		all = append(all, s.problem(section+".test_code", "has no effect without %s.sender", section))
	}
	return all
}

// checkProgram says why a program cannot be run.
func checkProgram(path string) string {
	switch info, err := os.Stat(path); {
	case err != nil:
		return "cannot be run: " + err.Error()
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Sprintf("%s is no program; allow it to be run with: chmod +x", path)
	}
	return ""
}

func (s *Settings) checkCalls() []*Problem {
	var all []*Problem
	for i, ice := range s.Calls.ICE {
		key := fmt.Sprintf("calls.ice[%d].urls", i)
		if len(ice.URLs) == 0 {
			all = append(all, s.problem(key, `must name a server, such as "stun:stun.example.org"`))
		}
		for _, u := range ice.URLs {
			scheme, rest, _ := strings.Cut(u, ":")
			if rest == "" || scheme != "stun" && scheme != "stuns" && scheme != "turn" && scheme != "turns" {
				all = append(all, s.problem(key, `%q must begin with stun:, stuns:, turn: or turns:`, u))
			}
		}
	}
	return all
}

// mayBeZero are the numbers for which zero has a meaning of its own.
var mayBeZero = map[string]bool{"node.min_free": true, "files.quota": true, "limits.delete_age": true}

// checkNumbers wants every number above zero.
func (s *Settings) checkNumbers() []*Problem {
	var all []*Problem
	sections := reflect.ValueOf(s.Config)
	for i := range sections.NumField() {
		section := sections.Field(i)
		for j := range section.NumField() {
			key := sections.Type().Field(i).Tag.Get("toml") + "." + section.Type().Field(j).Tag.Get("toml")
			if n, isNumber := numberOf(section.Field(j)); isNumber && !(n > 0 && n < math.MaxInt64) && !(n == 0 && mayBeZero[key]) {
				all = append(all, s.problem(key, "must be more than zero, and finite; leave it out for the default"))
			}
		}
	}
	return all
}

func numberOf(v reflect.Value) (float64, bool) {
	if d, ok := v.Interface().(Duration); ok {
		return float64(d.Duration), true
	}
	switch {
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanFloat():
		return v.Float(), true
	}
	return 0, false
}

func (s *Settings) checkLog() []*Problem {
	var all []*Problem
	switch s.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		all = s.one("log.level", fmt.Sprintf(`must be "debug", "info", "warn" or "error", not %q`, s.Log.Level))
	}
	if s.Log.Format != "text" && s.Log.Format != "json" {
		all = append(all, s.problem("log.format", `must be "text" or "json", not %q`, s.Log.Format))
	}
	return all
}
