// Cases that presume that all users are of one node, and why users of two see something else (spec/client.md,
// spec/link.md). They are skipped where the users of a case are of two nodes (PEER); nothing else may be.
const why = {
  'who is not known and of another node is answered before anything else (web/03-strangers)': [
    'web app: find, first message, unread badge, presence, typing',
    'page: find, first message, unread, ticks, presence, typing',
  ],
  'tags are looked for at one node only; of another one a handle is asked for': [
    'find: one tag: users and groups; rows carry topic, public, acs.mode, private=[matched]',
    'find: through the SDK: fnd topic fills contacts',
    'find: case does not matter in queries nor in tags',
    'find: comma is OR, with or without spaces around',
    'find: queries that are no strings, or are malformed, find nothing and hurt nobody',
    'find: one does not find oneself',
    'find: what the web app sends for a word: alias:word,word',
    'find: private query: kept across sessions; public one wins where set and is the session\'s own',
    'find: fnd cannot be deleted or unsubscribed',
    'find: deleted groups and accounts are no longer found',
    'find: anonymous accounts are not found, and need permission like others',
  ],
  'logins, aliases and addresses are taken at one node': [
    'me: fnd.checkTagUniqueness tells a taken alias from a free one',
    'credentials: an e-mail confirmed by one user is refused to another (409)',
    'find: an alias belongs to one only: taken is refused, freed is available',
    'account: changing the login to a taken one is 409',
  ],
  'a first contact, or an invitation, from another node waits until it is accepted': [
    "p2p: create by {sub}: ctrl 200 with acs, desc carries the peer's public; peer gets {pres acs} with full modes on me",
    'p2p: both sides come online to each other on creation ({pres on})',
    'invite: the invited one sees the group on me and gets {pres msg} before ever attaching; attaching is then without acs',
  ],
  'each node has its own order of a conversation of two': [
    'ordering: 2 senders x 60 pipelined messages: both sides see one gapless order',
    'delete: deletion log: transaction ids grow, since/limit work, ranges cover own soft and common hard deletions',
  ],
  'an edit of somebody else\'s message is refused by the other node': [
    'edit: an edit by the other party does not replace the original (SDK checks the author, so {data.from} must be right)',
  ],
  'a bare id is one of the node\'s own': ["group: ids: a bare id is taken for one of this server's; answers carry the permanent id"],
  'readers are the affair of their node, and counted there': ['channel: subcnt counts the readers'],
  'what is not followed here is not described before it is subscribed to': [
    'group: a stranger may read desc (acs.mode = default access) but not members, history, tags, aux',
    'channel: a stranger can read desc under chn…, but not join under grp… (403)',
  ],
  'a file of another node is had by those to whom a message or a face names it': [
    'files: download: content, type, length; any logged-in user may',
    'attachments: an attached file is still there after the message is long published (use counter)',
  ],
  'read marks of members of other nodes are not kept here': [
    'group: members list: times, online, acs, read and recv, public, own private; plain members see the same',
  ],
};
export const apart = new Map(Object.entries(why).flatMap(([reason, names]) => names.map(name => [name, reason])));
