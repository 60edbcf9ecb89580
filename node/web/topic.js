// One conversation as the user has it: what is known of it, its messages and its members.

export const isGroup = id => /^(grp|chn|new|nch)/.test(id);

// target is the message that this one replaces, NaN if it is no edit.
const target = message => Number(/^:?(\d+)$/.exec(message.head?.replace ?? '')?.[1]);

export class Topic {
  constructor(id) {
    Object.assign(this, { id, acs: {}, seq: 0, read: 0, recv: 0, clear: 0, touched: '', online: false });
    this.messages = new Map(); // seq → {seq, from, ts, head, content}
    this.outbox = []; // own messages that the node has not confirmed
    this.members = new Map(); // user → {public, read, recv, online, acs}
    this.typing = new Map(); // user → timer
    this.attached = false;
    this.loaded = false; // what is shown has been fetched since
    this.complete = false; // the oldest message is here
  }

  can(mode) { return [...mode].every(m => (this.acs.mode ?? '').includes(m)); }
  get unread() { return this.can('JR') ? Math.max(0, this.seq - this.read) : 0; }
  // A stranger's first message: the peer gives more than the user has agreed to.
  get asks() { return (this.acs.given ?? '').includes('J') && /[RW]/.test([...this.acs.given].filter(m => !(this.acs.want ?? '').includes(m)).join('')); }
  get waiting() { return this.outbox.some(m => !m.failed); }
  get joined() { return [...this.members].filter(([, m]) => m.acs?.mode !== 'N'); }
  get first() { return Math.min(...this.messages.keys()); }
  get last() { return Math.max(0, ...this.messages.keys()); }

  // shown returns the messages in order, with the author's last edit of each in its place.
  shown() {
    const all = [...this.messages.values()].sort((a, b) => a.seq - b.seq);
    const edits = new Map();
    for (const m of all) if (target(m)) edits.set(target(m), [...edits.get(target(m)) ?? [], m]);
    return all.filter(m => !target(m)).map(m => {
      const own = (edits.get(m.seq) ?? []).filter(e => e.from === m.from);
      return { ...m, content: (own.at(-1) ?? m).content, edits: own.map(e => e.seq) };
    });
  }

  // rested tells that the user is not typing any more.
  rested(user) {
    clearTimeout(this.typing.get(user));
    this.typing.delete(user);
  }

  // mark says how far the message got: 'sent', 'received' or 'read' by anyone else.
  mark(seq, self) {
    const others = [...this.members].filter(([user]) => user !== self).map(([, m]) => m);
    if (others.some(m => m.read >= seq)) return 'read';
    return others.some(m => m.recv >= seq) ? 'received' : 'sent';
  }
}
