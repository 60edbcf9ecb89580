// Package scenario is the language in which experiments are written: which nodes and
// users there are, what the network between them is like, who does what, what goes wrong
// and when, and what must hold in the end.
//
// A scenario is a TOML file. It is strict: an unknown key, a name that means nobody, an
// event that cannot happen are errors, with line and column. spec/testnet.md is made from
// the comments of this file.
package scenario

import _ "embed"

//go:generate go run parley/cmd/parley testnet reference --output ../../spec/testnet.md

// source is this file: its comments are the reference, see reference.go.
//
//go:embed scenario.go
var source string

// Scenario is an experiment as a file describes it.
type Scenario struct {
	// What the experiment is called: letters, digits and "-". Empty: the name of the
	// file without ".toml".
	Name string `toml:"name"`
	// What it shows, in one line.
	About string `toml:"about"`
	// From what all chance comes. Another seed is another run of the same experiment.
	Seed uint64 `toml:"seed"`
	// How long it goes on, after the accounts are made and the contacts are met.
	Duration Duration `toml:"duration"`
	// How long afterwards, at most, until all that was sent has arrived: nobody writes
	// any more, faults end, nodes that are down are started.
	Settle Duration `toml:"settle"`
	// How often the figures are taken.
	Sample Duration `toml:"sample"`

	// How old the federation is when the scenario begins: its nodes and accounts exist for
	// so long, and those who know each other have written and been answered.
	Age Duration `toml:"age"`

	// Whether the same is simulated without links, stores and clients, too, to compare: see
	// the figures model_… Strangers, "meet" and "spammer" only.
	Model bool `toml:"model"`

	// The usual link between two nodes.
	Link Link `toml:"link"`
	// Links that are not usual.
	Links []Links `toml:"links"`
	// Who is there.
	Nodes []Nodes `toml:"nodes"`
	// Whose names are in the DNS.
	DNS DNS `toml:"dns"`
	// Who is found by the DHT.
	DHT DHT `toml:"dht"`
	// Their users.
	Users []Users `toml:"users"`
	// Who knows whom.
	Contacts Contacts `toml:"contacts"`
	// Groups of users.
	Groups []Groups `toml:"groups"`
	// What users do.
	Work []Work `toml:"work"`
	// What people do when a stranger writes to them.
	Strangers Strangers `toml:"strangers"`
	// Who attacks.
	Attackers []Attackers `toml:"attackers"`
	// What happens to the nodes and the network.
	Events []Event `toml:"event"`
	// What must hold in the end.
	Checks []Check `toml:"check"`

	apart bool // see Apart
}

// Link is what happens to packets on the way from one node to another. In [[links]] and
// events, what is not said is as on the usual link.
type Link struct {
	// How long a packet takes, at least.
	Latency *Duration `toml:"latency"`
	// What is added to that by chance: the scale of spread. Packets may overtake.
	Jitter *Duration `toml:"jitter"`
	// How the jitter is distributed: "uniform" between 0 and jitter, "normal",
	// "exponential", or "pareto" (few, but long delays).
	Spread *string `toml:"spread"`
	// The part of the packets that get lost, 0 to 1.
	Loss *float64 `toml:"loss"`
	// How many packets get lost in a row, on average; 1: each by itself.
	Burst *float64 `toml:"burst"`
	// The part of the packets that come twice.
	Double *float64 `toml:"double"`
	// The part of the packets that take twice the latency, so that others overtake.
	Reorder *float64 `toml:"reorder"`
	// Bits a second, such as "10Mbit". "0": any.
	Rate *Rate `toml:"rate"`
	// What can wait for the rate before packets are lost.
	Queue *Size `toml:"queue"`
	// The largest packet, in bytes of IP. QUIC needs 1280.
	MTU *int `toml:"mtu"`
}

// Links are links that differ from the usual one. The last that fits counts.
type Links struct {
	// The two ends: each a list of nodes.
	Between []Selection `toml:"between"`
	// Only packets of these nodes; to says where they go.
	From Selection `toml:"from"`
	// Only packets to these nodes.
	To Selection `toml:"to"`
	Link
}

// Nodes is one node, or several that are alike.
type Nodes struct {
	// The name. Several nodes are name1, name2 and so on.
	Name string `toml:"name"`
	// How many.
	Count int `toml:"count"`
	// Where they are: a word by which [[links]] can choose them, as "region:eu".
	Region string `toml:"region"`
	// Whether the address is one of IPv6.
	IPv6 bool `toml:"ipv6"`
	// A parent domain that they have in common: one owner, as others see it. Else each has
	// a domain of its own.
	Parent string `toml:"parent"`
	// When they are started, if not from the beginning. Their users come with them.
	Join Duration `toml:"join"`
	// By how much their clocks are ahead of the right time, from the beginning.
	Ahead Duration `toml:"ahead"`
	// By how much they are behind it.
	Behind Duration `toml:"behind"`
	// Whether they tell other nodes which of their users were reported: the setting
	// reputation.pass_reports.
	Reports bool `toml:"reports"`
}

// DNS is for nodes that are found and proven by the DNS. All others, but for those of the
// DHT, are in the settings of everybody, with key and address.
type DNS struct {
	// Whose names are zones of the DNS. Empty: nobody's.
	Nodes Selection `toml:"nodes"`
	// Which of those have no DNSSEC: they are proven by their web sites.
	Unsigned Selection `toml:"unsigned"`
	// For how long records are good.
	TTL Duration `toml:"ttl"`
	// How long a resolver takes for an answer.
	Latency Duration `toml:"latency"`
}

// DHT is for nodes whose names are made from their keys, and which are found by the
// distributed table alone. If there are some, all nodes take part in it.
type DHT struct {
	// Which nodes. Empty: none, and there is no DHT.
	Nodes Selection `toml:"nodes"`
	// How many of them, the first ones, are known to all from the beginning.
	Bootstrap int `toml:"bootstrap"`
	// How often nodes look up the parts of their tables again.
	Refresh Duration `toml:"refresh"`
	// How many connections to other members a node keeps.
	Connections int `toml:"connections"`
	// For how long it keeps a new one in any case.
	Grace Duration `toml:"grace"`
	// Within how long the nodes start, one after the other, before the scenario begins.
	Spread Duration `toml:"spread"`
}

// Users is one user, or several that are alike.
type Users struct {
	// The login. Several users of a node are name1, name2 and so on.
	Name string `toml:"name"`
	// At which nodes.
	At Selection `toml:"at"`
	// How many at each.
	Count int `toml:"count"`
}

// Contacts say who knows whom: has accepted, and may write to.
type Contacts struct {
	// "all", "ring", "random", "scale-free" (Barabási and Albert), "file", or "none".
	Graph string `toml:"graph"`
	// Contacts of each user: on each side in a ring, on average in a random graph,
	// made by each newcomer in a scale-free one.
	Degree int `toml:"degree"`
	// Who has contacts, beside pairs: not those who are made up to attack.
	Users Selection `toml:"users"`
	// Whether users of one node know each other, too.
	Local bool `toml:"local"`
	// For "file": lines of two users, "alice@a bob@b"; a relative path counts from the
	// directory of the scenario.
	File string `toml:"file"`
	// Two users each, beside the graph: [["alice@a", "bob@b"]].
	Pairs [][]string `toml:"pairs"`
}

// Groups is a group with members, or several that are alike.
type Groups struct {
	// The name; several groups are name1, name2 and so on.
	Name string `toml:"name"`
	// How many.
	Count int `toml:"count"`
	// Who may be a member. The first of the chosen ones makes the group.
	Members Selection `toml:"members"`
	// How many of those are, chosen by chance; 0: all.
	Size int `toml:"size"`
}

// Work is what users do, again and again.
type Work struct {
	// "chat": write to a contact, chosen by chance. "group": write to a group that
	// one is in. "presence": sign off and on. "meet": write to a stranger of another
	// node, chosen by chance, who does as [strangers] says; signed in or not.
	Kind string `toml:"kind"`
	// Who does it.
	Users Selection `toml:"users"`
	// To whom "chat" writes, if not to any contact, and "meet", if not to anybody.
	To Selection `toml:"to"`
	// How long between two times on average; it is distributed exponentially. For
	// "presence": how long one stays signed in.
	Every Duration `toml:"every"`
	// For "presence": how long one stays away, on average.
	Away Duration `toml:"away"`
	// When it begins.
	From Duration `toml:"from"`
	// When it ends; "0s": with the scenario.
	Until Duration `toml:"until"`
	// Bytes of a message.
	Size Size `toml:"size"`
}

// Strangers is what people do when a stranger writes to them: chances, 0 to 1. What is left
// is that they do nothing.
type Strangers struct {
	// To answer who means well.
	Reply float64 `toml:"reply"`
	// To report and block who means well.
	Report float64 `toml:"report"`
	// To block who means well.
	Block float64 `toml:"block"`
	// To answer spam.
	SpamReply float64 `toml:"spam-reply"`
	// To report and block a spammer.
	SpamReport float64 `toml:"spam-report"`
	// To block a spammer.
	SpamBlock float64 `toml:"spam-block"`
	// How long they take for it, on average; distributed exponentially.
	After Duration `toml:"after"`
}

// Attackers are nodes, or users, that attack. All nodes run the same program: what an
// operator who is an attacker could change in it is that its own users have no limits,
// and what it tells others.
type Attackers struct {
	// "spammer": users of the nodes write to strangers, all the time. "whitewasher": the
	// same, but of the nodes one after the other, each for a while: fresh names.
	// "traitor": as a spammer, of nodes that are known and go on with all other work.
	// "mixed": the users spam, and their node holds them to its limits. "slander": the
	// nodes tell others that the targets are bad; "praise": that they are good. "flood":
	// the nodes ask others what they think of names that they make up.
	Kind string `toml:"kind"`
	// Which nodes.
	Nodes Selection `toml:"nodes"`
	// For "mixed": which users.
	Users Selection `toml:"users"`
	// The users who get the spam, if not everybody of other nodes than the attackers'.
	To Selection `toml:"to"`
	// For "slander" and "praise": the nodes that are slandered or praised.
	Targets Selection `toml:"targets"`
	// How long between two messages, or questions, of a node, on average; of "mixed": of a user.
	Every Duration `toml:"every"`
	// For "whitewasher": how long a name is used.
	Keep Duration `toml:"keep"`
	// When it begins.
	From Duration `toml:"from"`
	// When it ends; "0s": with the scenario.
	Until Duration `toml:"until"`
}

// Event is something that happens at a moment, and mostly ends some time later.
type Event struct {
	// When.
	At Duration `toml:"at"`
	// What: "partition" (sides), "cut" (from, to: one way only), "link" (between, or from
	// and to, and the link), "kill" (nodes; without a word, as by a power cut), "stop"
	// (nodes; in order), "start" (nodes), "churn" (nodes, up, down), "slow-disk" (nodes,
	// delay), "full-disk" (nodes), "sign-off" (users), "dns-failure" (nodes, answer),
	// "skew" (nodes, ahead or behind: their clocks are wrong by that), "jump" (the same, and
	// stays: clocks are set by that), "drift" (the same: clocks gain or lose that each day;
	// in the end they stay where they are).
	Do string `toml:"do"`
	// For how long; then what it was before holds again. "0s": to the end.
	For Duration `toml:"for"`
	// Which nodes.
	Nodes Selection `toml:"nodes"`
	// Which users.
	Users Selection `toml:"users"`
	// For "partition": lists of nodes that reach each other only. Nodes that are in none
	// reach all.
	Sides []Selection `toml:"sides"`
	// For "link": the two ends.
	Between []Selection `toml:"between"`
	// For "cut" and "link": where packets come from.
	From Selection `toml:"from"`
	// For "cut" and "link": where packets go.
	To Selection `toml:"to"`
	// For "churn": how long a node is up, on average.
	Up Duration `toml:"up"`
	// For "churn": how long a node is down, on average.
	Down Duration `toml:"down"`
	// For "slow-disk": how long a write takes; with --processes, how long each fsync does.
	Delay Duration `toml:"delay"`
	// For "skew", "jump", "drift": how far a clock goes ahead. Timers go on as before.
	Ahead Duration `toml:"ahead"`
	// For the same: how far it falls behind.
	Behind Duration `toml:"behind"`
	// For "dns-failure": what is answered about the names of the nodes: "silent" (nothing),
	// "servfail" (the resolver cannot find out, or it is signed wrongly), "nxdomain"
	// (there is no such name).
	Answer string `toml:"answer"`
	// For "link": what it is like.
	Link Link `toml:"link"`
}

// Check is a condition over the figures of a run, such as "latency_p99 < 2s".
type Check struct {
	// The condition: numbers, time spans ("250ms"), sizes ("64KiB") and figures, with
	// + - * / ( ), < <= > >= == !=, and, or, not.
	That string `toml:"that"`
	// Why it must hold, in one line.
	About string `toml:"about"`
}

// Selection names nodes or users: "a", "eu*", "region:eu", "*"; users as "alice@a",
// "alice", "*@eu*". What begins with "!" is taken away again.
type Selection []string
