package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Every message names the place and says what to do.
func TestProblems(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"typing error": {
			"[http]\n\n  lisen = \":80\"\n",
			`parley.toml:3:3: there is no setting "http.lisen"; did you mean "listen"?`,
		},
		"typing error in a section": {
			"[acounts]\nregistration = \"open\"\n",
			`parley.toml:1:2: there is no setting "acounts"; did you mean "accounts"?`,
		},
		"outside of its section": {
			"trusted_proxies = []\n",
			`parley.toml:1:1: there is no setting "trusted_proxies"; trusted_proxies belongs in section [http]`,
		},
		"no such thing": {
			"[log]\ncolour = true\n",
			`parley.toml:2:1: there is no setting "log.colour"; section [log] has level, format`,
		},
		"no such section": {
			"[push]\ntoken = \"x\"\n",
			`parley.toml:1:2: there is no setting "push"; the sections are node, http, admin, s2s, reputation, accounts, email, tel, calls, files, limits, log`,
		},
		"in a list": {
			"[[calls.ice]]\nurl = []\n",
			`parley.toml:2:1: there is no setting "calls.ice.url"; did you mean "urls"?`,
		},
		"all unknown keys at once": {
			"nam = 1\n[log]\nlevle = 2\n",
			"parley.toml:1:1: there is no setting \"nam\"; the sections are node, http, admin, s2s, reputation, accounts, email, tel, calls, files, limits, log\n" +
				`parley.toml:3:1: there is no setting "log.levle"; did you mean "level"?`,
		},
		"number for text":       {"[http]\nlisten = 80", `parley.toml:2:10: http.listen must be text in quotes ("…"), not an integer`},
		"number for span":       {"[calls]\ntimeout = 30", `parley.toml:2:1: calls.timeout must be a time span in quotes ("30s"), not a bare number`},
		"text for number":       {"[limits]\nmax_tags = \"9\"", `parley.toml:2:12: limits.max_tags must be a whole number, not a string`},
		"text for list":         {"[http]\napi_keys = \"k\"", `parley.toml:2:12: http.api_keys must be a list of texts (["…", "…"]), not a string`},
		"value for section":     {"http = 5", `parley.toml:1:8: http must be a section ([http]), not an integer`},
		"section for value":     {"[http.listen]", `parley.toml:1:2: http.listen must be text in quotes ("…"), not a section`},
		"bad span":              {"[calls]\ntimeout = \"1 minute\"", `parley.toml:2:11: "1 minute" is not a time span; write for example "30s", "5m", "2h" or "14d"`},
		"negative span":         {"[calls]\ntimeout = \"-1s\"", `parley.toml:2:11: "-1s" is not a time span; write for example "30s", "5m", "2h" or "14d"`},
		"bad size":              {"[files]\nmax_size = \"32 megs\"", `parley.toml:2:12: "32 megs" is not a size; write for example "64KiB", "32MiB" or "2GB"`},
		"zero":                  {"[limits]\ntopic_queue = 0", `parley.toml:2:1: limits.topic_queue: must be more than zero, and finite; leave it out for the default`},
		"endless":               {"[limits]\nlogin_rate = inf", `parley.toml:2:1: limits.login_rate: must be more than zero, and finite; leave it out for the default`},
		"no quotes":             {"[node]\nname = example.org", `parley.toml:2:8: unexpected character U+0065 'e' at start of value; write text in quotes: "…", and true or false without`},
		"twice":                 {"[log]\nlevel = \"info\"\nlevel = \"warn\"", `parley.toml:3:1: key level is already defined`},
		"name with a port":      {"[node]\nname = \"a.example:6060\"", `parley.toml:2:1: node.name: node name "a.example:6060": character ':' is not allowed (use letters, digits, hyphens, and xn-- forms for other scripts)`},
		"name is an address":    {"[node]\nname = \"192.0.2.1\"", `parley.toml:2:1: node.name: node name "192.0.2.1": must be a name, not an IP address`},
		"no data":               {"[node]\ndata = \"\"", `parley.toml:2:1: node.data: must not be empty; leave it out for "parley-data"`},
		"no port":               {"[http]\nlisten = \"localhost\"", `parley.toml:2:1: http.listen: "localhost" is no address with port; write for example "127.0.0.1:6060" or ":6060"`},
		"no web client":         {"[http]\nweb = \"/nonexistent\"", `parley.toml:2:1: http.web: /nonexistent holds no index.html; name the directory of a web client that does`},
		"no network":            {"[http]\ntrusted_proxies = [\"10.0.0.0/33\"]\n[accounts]\nregistration = \"open\"", `parley.toml:2:1: http.trusted_proxies: "10.0.0.0/33" is neither an address nor a network; write for example "127.0.0.1" or "10.0.0.0/8"`},
		"no api keys":           {"[http]\napi_keys = []", `parley.toml:2:1: http.api_keys: must not be empty, or no client can connect; leave it out for the public clients' key`},
		"certificate, no key":   {"[http]\ntls_cert = \"config.go\"", `parley.toml:2:1: http.tls_cert: needs http.tls_key as well`},
		"no such certificate":   {"[http]\ntls_cert = \"/nonexistent\"\ntls_key = \"config.go\"", `parley.toml:2:1: http.tls_cert: cannot be read: open /nonexistent: no such file or directory`},
		"acme for localhost":    {"[http]\nacme = true", `parley.toml:2:1: http.acme: needs a node.name in the public DNS, not one under localhost`},
		"redirect to nothing":   {"[http]\nredirect = \":80\"", `parley.toml:2:1: http.redirect: has nowhere to lead: set http.tls_cert and http.tls_key, or http.acme`},
		"admin for all":         {"[admin]\nlisten = \":6061\"", `parley.toml:2:1: admin.listen: must be on loopback, such as "127.0.0.1:6061": whoever reaches it can try to sign in as root`},
		"half open":             {"[accounts]\nregistration = \"invite\"", `parley.toml:2:1: accounts.registration: must be "open" or "closed", not "invite"`},
		"open without a word":   {"[http]\nlisten = \":6060\"", `parley.toml:2:1: http.listen: others than this machine can reach :6060, so say whether they may make accounts: write registration = "open" in [accounts], or "closed" so that only "parley user add" makes accounts (or use the flag --registration)`},
		"open behind a proxy":   {"[http]\ntrusted_proxies = [\"::1\"]", `parley.toml:2:1: http.trusted_proxies: others than this machine come in through the proxy, so say whether they may make accounts: write registration = "open" in [accounts], or "closed" so that only "parley user add" makes accounts (or use the flag --registration)`},
		"required, no sender":   {"[accounts]\nrequired = [\"email\"]", `parley.toml:2:1: accounts.required: email needs a way to send codes: set sender in [email]`},
		"required, unknown":     {"[accounts]\nrequired = [\"fax\"]", `parley.toml:2:1: accounts.required: can have "email" and "tel", not "fax"`},
		"unknown sender":        {"[email]\nsender = \"pigeon\"", `parley.toml:2:1: email.sender: must be "log", "exec", "smtp" or empty, not "pigeon"`},
		"tel has no smtp":       {"[tel]\nsender = \"smtp\"", `parley.toml:2:1: tel.sender: must be "log", "exec" or empty, not "smtp"`},
		"exec of nothing":       {"[tel]\nsender = \"exec\"", `parley.toml:1:2: tel.command: must name a program for sender "exec"`},
		"smtp to nowhere":       {"[email]\nsender = \"smtp\"\nfrom = \"a@b.example\"", `parley.toml:1:2: email.smtp: must be server and port for sender "smtp", such as "smtp.example.org:587"`},
		"exec of what":          {"[tel]\nsender = \"exec\"\ncommand = [\"sms\"]", `parley.toml:3:1: tel.command: must name the program by its full path, not "sms"`},
		"exec of nothing there": {"[tel]\nsender = \"exec\"\ncommand = [\"/nonexistent\"]", `parley.toml:3:1: tel.command: cannot be run: stat /nonexistent: no such file or directory`},
		"exec of a directory":   {"[tel]\nsender = \"exec\"\ncommand = [\"/\"]", `parley.toml:3:1: tel.command: / is no program; allow it to be run with: chmod +x`},
		"open mail":             {"[email]\nsender = \"smtp\"\nfrom = \"a@b.example\"\nsmtp = \"b.example:25\"\nsmtp_tls = \"none\"", `parley.toml:5:1: email.smtp_tls: "none" is for a server on this machine only: codes and password could be read on the way`},
		"public test code":      {"[node]\nname = \"chat.example.org\"\n[tel]\nsender = \"exec\"\ncommand = [\"/bin/sh\"]\ntest_code = \"1\"", `parley.toml:6:1: tel.test_code: would let anybody confirm any address; it is only for nodes named localhost`},
		"no scheme":             {"[[calls.ice]]\nurls = [\"stun:a\"]\n[[calls.ice]]\nurls = [\"example.org\"]", `parley.toml:4:1: calls.ice[1].urls: "example.org" must begin with stun:, stuns:, turn: or turns:`},
		"level":                 {"[log]\nlevel = \"loud\"", `parley.toml:2:1: log.level: must be "debug", "info", "warn" or "error", not "loud"`},
		"several, in order": {
			"[log]\nformat = \"xml\"\n[files]\nmax_size = \"0\"\n",
			"parley.toml:2:1: log.format: must be \"text\" or \"json\", not \"xml\"\n" +
				"parley.toml:4:1: files.max_size: must be more than zero, and finite; leave it out for the default",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("parley.toml", []byte(c.text))
			if err == nil {
				err = s.Check()
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("error\n\t%v\nwant\n\t%s", err, c.want)
			}
		})
	}
}

func TestGoodFiles(t *testing.T) {
	for name, text := range map[string]string{
		"empty":           "",
		"public and open": "[http]\nlisten = \":443\"\n[accounts]\nregistration = \"open\"",
		"mail":            "[node]\nname = \"chat.example.org\"\n[accounts]\nrequired = [\"email\"]\n[email]\nsender = \"smtp\"\nsmtp = \"mail.example.org:587\"\nfrom = \"chat@example.org\"",
		"calls inline":    "[calls]\nice = [{urls = [\"turn:example.org\"], username = \"u\", credential = \"c\"}]",
		"trial":           "[node]\nname = \"b.localhost\"\n[email]\nsender = \"log\"\ntest_code = \"123456\"",
		"no limits":       "[files]\nquota = \"0\"\n[limits]\ndelete_age = \"0\"\nsession_rate = 5\nmax_message = 65536",
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("parley.toml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Check(); err != nil {
				t.Error(err)
			}
			if s.Accounts.Registration != Open {
				t.Errorf("registration is %q, want open", s.Accounts.Registration)
			}
		})
	}
}

func TestFlagsGoBeforeTheFile(t *testing.T) {
	s, err := Parse("parley.toml", []byte("[http]\nlisten = \"127.0.0.1:1\""))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Override("http.listen", "--http", "nonsense"); err != nil {
		t.Fatal(err)
	}
	want := `--http: "nonsense" is no address with port; write for example "127.0.0.1:6060" or ":6060"`
	if err := s.Check(); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if !s.Set("http.listen") || s.Set("admin.listen") {
		t.Error("what was set and what was not is not told apart")
	}
}

func TestPathsCountFromTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, FileName)
	if err := os.WriteFile(file, []byte("[node]\ndata = \"d\"\n[http]\nweb = \"/w\""), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "d"); s.Node.Data != want || s.HTTP.Web != "/w" {
		t.Errorf("data %s, web %s; want %s and /w", s.Node.Data, s.HTTP.Web, want)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a directory as a file: %v", err)
	}
}

// The template sets nothing but what it is told; with every "#" taken away it
// says what is the default anyway.
func TestTemplateHoldsTheDefaults(t *testing.T) {
	text := Template(map[string]string{"node.name": "a.example", "node.data": `C:\"d`})
	s, err := Parse(FileName, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Node.Name, want.Node.Data = "a.example", `C:\"d`
	if !reflect.DeepEqual(s.Config, want) {
		t.Errorf("template means %+v", s.Config)
	}

	all := regexp.MustCompile(`(?m)^#([a-z\[])`).ReplaceAllString(Template(nil), "$1")
	s, err = Parse(FileName, []byte(all))
	if err != nil {
		t.Fatal(err)
	}
	want = Default()
	if len(s.Calls.ICE) != 1 {
		t.Fatalf("%d ICE servers, want the one empty example", len(s.Calls.ICE))
	}
	s.Calls.ICE = nil
	if len(s.S2S.Peers) != 1 {
		t.Fatalf("%d peers, want the one empty example", len(s.S2S.Peers))
	}
	s.S2S.Peers = nil
	if len(s.Reputation.Lists) != 1 {
		t.Fatalf("%d lists, want the one empty example", len(s.Reputation.Lists))
	}
	s.Reputation.Lists = nil
	s.S2S.Resolvers, s.S2S.Announce, s.S2S.Bootstrap = nil, nil, nil
	s.HTTP.TrustedProxies, s.Accounts.Required, s.Accounts.RestrictedTags, s.Email.Command, s.Tel.Command = nil, nil, nil, nil, nil // [] and nil are one here
	if !reflect.DeepEqual(s.Config, want) {
		t.Errorf("template with all defaults means\n%+v, want\n%+v", s.Config, want)
	}
}

func TestEverySettingIsDescribed(t *testing.T) {
	for _, s := range sections(Default()) {
		if s.doc == "" {
			t.Errorf("[%s] has no comment", s.name)
		}
		for _, k := range s.keys {
			if k.name == "" || k.doc == "" {
				t.Errorf("%s.%s has no comment or no name", s.name, k.name)
			}
		}
	}
}

func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../../spec/config.md"
	stored, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(stored) != Reference() {
		t.Errorf("%s is not current; run: go generate ./cmd/parley/config", file)
	}
}

func TestValuesCanBeReadAgain(t *testing.T) {
	for _, d := range []time.Duration{0, time.Millisecond, 90 * time.Second, time.Hour, 25 * time.Hour, 14 * day, 30 * time.Minute, time.Hour + time.Second} {
		var back Duration
		text := Duration{d}.String()
		if err := back.UnmarshalText([]byte(text)); err != nil || back.Duration != d {
			t.Errorf("%v is written %q and read %v (%v)", d, text, back, err)
		}
	}
	for _, z := range []Size{0, 1, 1000, 1 << 10, 1500 << 10, 32 << 20, 3 << 40, 1<<30 + 1} {
		var back Size
		text := z.String()
		if err := back.UnmarshalText([]byte(text)); err != nil || back != z {
			t.Errorf("%d is written %q and read %d (%v)", int64(z), text, back, err)
		}
	}
	var z Size
	if err := z.UnmarshalText([]byte("1.5 MB")); err != nil || z != 1_500_000 {
		t.Errorf("1.5 MB is %d (%v)", z, err)
	}
	for _, bad := range []string{"", "-1", "NaN", "1XB", "1e30", "KiB"} {
		if err := z.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken for the size %d", bad, z)
		}
	}
}
