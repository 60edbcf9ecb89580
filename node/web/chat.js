// What the user has: topics, messages, marks, presence. It follows what the node tells
// and asks for what is missing; it knows nothing of the document. Every change is told
// by onChange(), which may be called often; trouble(err, doing) tells what went wrong.

import { Topic, isGroup } from './topic.js';
import { API_KEY, Refused, Wire } from './wire.js';

const PAGE = 24; // messages asked for at a time
const CATCH_UP_PAGE = 100, CATCH_UP = 10; // at a time, and how many times, after a lost connection
const TYPING_MS = 3000; // at most one {note kp} in so long; a note is believed for a little longer
const RASTER = /^image\/(png|jpeg|gif|webp|avif|bmp)$/;

const secret = text => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

export class Chat {
  constructor({ onChange, onTrouble }) {
    Object.assign(this, { onChange, onTrouble });
    this.wire = new Wire({
      onOpen: params => this.#opened(params),
      onPacket: (kind, body) => { this[`_${kind}`]?.(body); this.onChange(); },
      onState: state => this.#state(state),
    });
    this.#reset();
    for (const store of [sessionStorage, localStorage]) this.ticket ??= JSON.parse(store.getItem('parley.ticket'));
    this.wire.start();
  }

  #reset() {
    this.me = null; // {id, public, tags} once logged in
    this.topics = new Map();
    this.current = null;
    this.ticket = null; // {user, token}: logs in again without the password
    this.files = new Map(); // path or data → promise of an object URL
    this.sent = 0;
  }

  #state(state) {
    this.state = state;
    if (state === 'lost') for (const t of this.topics.values()) Object.assign(t, { attached: false, online: false });
    this.onChange();
  }

  // --- entering ---

  async #opened(params) {
    this.limits = params;
    if (!this.ticket) return;
    let ctrl;
    try {
      ctrl = await this.wire.request('login', { scheme: 'token', secret: this.ticket.token });
    } catch (err) {
      if (![400, 401, 403, 404].includes(err.code)) throw err; // nothing is wrong with the token: try again later
      this.#forget();
      return this.onTrouble(err, 'resume');
    }
    await this.#enter(ctrl);
  }

  async #enter(ctrl) {
    const { user, token } = ctrl.params;
    this.ticket = { user, token: token ?? this.ticket?.token };
    (this.keep ?? !!localStorage.getItem('parley.ticket') ? localStorage : sessionStorage).setItem('parley.ticket', JSON.stringify(this.ticket));
    this.me ??= { id: user, tags: [] };
    this.listed = new Set();
    await this.wire.request('sub', { topic: 'me', get: { what: 'desc tags' } });
    await this.wire.request('get', { topic: 'me', what: 'sub' });
    this.finding = null;
    for (const t of this.topics.values()) {
      if (t === this.current || t.waiting) this.#attach(t).catch(err => t === this.current && this.onTrouble(err, 'open'));
      else if (!this.listed.has(t.id)) this.topics.delete(t.id);
    }
  }

  // A code is asked for by returning {token, method} instead of undefined.
  async #proved(ctrl) {
    if (ctrl.code < 300) return this.#enter(ctrl);
    return { token: ctrl.params.token, method: ctrl.params.cred?.[0] };
  }

  async login(name, password, keep) {
    this.keep = keep;
    await this.wire.opened();
    return this.#proved(await this.wire.request('login', { scheme: 'basic', secret: secret(`${name}:${password}`) }));
  }

  async register({ name, login, password, email, keep }) {
    this.keep = keep;
    await this.wire.opened();
    return this.#proved(await this.wire.request('acc', {
      user: 'new', scheme: 'basic', secret: secret(`${login}:${password}`), login: true,
      desc: { public: { fn: name } }, cred: email ? [{ meth: 'email', val: email }] : undefined,
    }));
  }

  async confirm({ token, method }, code) {
    await this.wire.opened();
    return this.#proved(await this.wire.request('login', { scheme: 'token', secret: token, cred: [{ meth: method, resp: code }] }));
  }

  logout() {
    this.#forget();
    this.wire.restart();
  }

  #forget() {
    for (const store of [sessionStorage, localStorage]) store.removeItem('parley.ticket');
    for (const url of this.files.values()) url.then(URL.revokeObjectURL, () => {});
    this.#reset();
    this.onChange();
  }

  // --- what the node tells ---

  topic(id) {
    if (!this.topics.has(id)) this.topics.set(id, new Topic(id));
    return this.topics.get(id);
  }

  _data(d) {
    const t = this.topics.get(d.topic);
    if (!t) return;
    this.#put(t, d);
    t.rested(d.from);
    this.#acknowledge(t);
  }

  #put(t, message) {
    t.messages.set(message.seq, message);
    t.seq = Math.max(t.seq, message.seq);
    if (message.ts > t.touched) t.touched = message.ts;
    if (message.from === this.me.id) t.read = t.recv = Math.max(t.read, t.recv, message.seq);
  }

  // acknowledge tells that messages have come, or have been seen.
  #acknowledge(t) {
    if (t.seq > t.recv && t.can('R')) {
      t.recv = t.seq;
      this.wire.note({ topic: t.id, what: 'recv', seq: t.seq });
    }
    if (t === this.current && t.attached && t.unread && document.visibilityState === 'visible') {
      t.read = t.seq;
      this.wire.note({ topic: t.id, what: 'read', seq: t.seq });
    }
  }

  seen() { if (this.current) this.#acknowledge(this.current); }

  _meta(m) {
    if (m.topic === 'me') {
      if (m.desc) Object.assign(this.me, { public: m.desc.public });
      if (m.tags) this.me.tags = m.tags;
      for (const s of m.sub ?? []) this.#subscription(s);
    } else if (this.topics.has(m.topic)) {
      const t = this.topics.get(m.topic);
      if (m.desc) this.#describe(t, m.desc);
      if (m.sub) t.members = new Map(m.sub.map(s => [s.user, { ...t.members.get(s.user), ...s, online: !!s.online }]));
      if (m.del) this.#erase(t, m.del);
    }
  }

  #subscription(s) {
    if (s.deleted) return this.#gone(s.topic);
    this.listed.add(s.topic);
    const t = this.topic(s.topic);
    this.#describe(t, { online: false, ...s });
    this.#acknowledge(t);
    if (t === this.current && !t.attached && t.can('J') && this.state === 'open') this.#attach(t).catch(() => {}); // let in again
  }

  #describe(t, desc) {
    for (const key of ['public', 'private', 'acs', 'touched', 'online', 'seen', 'subcnt', 'chan']) if (key in desc) t[key] = desc[key];
    for (const key of ['seq', 'read', 'recv']) t[key] = Math.max(t[key], desc[key] ?? 0);
    if (t.attached && !t.loaded && t.can('R')) this.#load(t).catch(() => {});
  }

  #erase(t, { clear, delseq }) {
    t.clear = Math.max(t.clear, clear ?? 0);
    for (const { low, hi } of delseq ?? []) {
      for (const seq of [...t.messages.keys()]) if (seq >= low && seq < (hi ?? low + 1)) t.messages.delete(seq);
    }
  }

  #gone(id) {
    this.topics.delete(id);
    if (this.current?.id !== id) return;
    this.current = null;
    this.onTrouble(new Refused({ code: 404 }), 'gone');
  }

  // A {ctrl} without an id: only eviction from a topic matters.
  _ctrl(c) {
    if (c.id || c.code !== 205 || !c.topic) return;
    if (c.params?.unsub) this.#gone(c.topic);
    else if (this.topics.has(c.topic)) this.topics.get(c.topic).attached = false;
  }

  _pres(p) {
    if (p.topic !== 'me') return this.topics.has(p.topic) && this.#inTopic(this.topics.get(p.topic), p);
    const t = this.topics.get(p.src);
    switch (p.what) {
      case 'gone': return this.#gone(p.src);
      case 'upd': if (p.src === 'me' || p.src === this.me.id) return this.#ask('me', 'desc'); // falls through
      case 'acs': return p.tgt && p.tgt !== this.me.id ? undefined : this.#relist(p.src);
    }
    if (!t) return ['on', 'msg'].includes(p.what) ? this.#relist(p.src) : undefined;
    switch (p.what) {
      case 'on': case 'off':
        t.online = p.what === 'on';
        if (p.what === 'off') t.seen = { when: new Date().toISOString(), ua: p.ua };
        break;
      case 'msg':
        t.seq = Math.max(t.seq, p.seq);
        t.touched = new Date().toISOString();
        t.rested(p.act);
        if (!p.act || p.act === this.me.id) t.read = t.recv = Math.max(t.read, p.seq);
        else this.#acknowledge(t);
        break;
      case 'read': case 'recv': t[p.what] = Math.max(t[p.what], p.seq); break;
    }
  }

  #inTopic(t, p) {
    const member = t.members.get(p.src);
    switch (p.what) {
      case 'on': case 'off':
        if (member) member.online = p.what === 'on';
        else this.#ask(t.id, 'sub');
        break;
      case 'acs': this.#ask(t.id, 'desc'); this.#ask(t.id, 'sub'); break;
      case 'upd': this.#ask(t.id, 'desc'); break;
      case 'del': this.#erase(t, p); break;
      case 'gone': this.#gone(t.id); break;
    }
  }

  _info(i) {
    const t = this.topics.get(i.src ?? i.topic);
    if (!t) return;
    if (i.what === 'read' || i.what === 'recv') {
      if (i.from === this.me.id) t[i.what] = Math.max(t[i.what], i.seq);
      const m = t.members.get(i.from) ?? {};
      t.members.set(i.from, { ...m, [i.what]: Math.max(m[i.what] ?? 0, i.seq) });
    } else if (i.what.startsWith('kp') && i.from !== this.me.id) {
      t.rested(i.from);
      t.typing.set(i.from, setTimeout(() => { t.rested(i.from); this.onChange(); }, TYPING_MS * 1.5));
    }
  }

  // ask is for what the node will answer with {meta}; a refusal changes nothing.
  #ask(topic, what, options) { this.wire.request('get', { topic, what, ...options }).catch(() => {}); }
  #relist(id) { this.#ask('me', 'sub', { sub: { topic: id } }); }

  // --- what the user does ---

  async open(id, found) {
    if (this.current?.id === id) return;
    this.close();
    if (!id) return;
    const known = this.topics.has(id);
    const t = this.current = this.topic(id);
    t.public ??= found?.public;
    t.unreadFrom = t.unread ? t.read + 1 : 0;
    this.onChange();
    try {
      await this.#attach(t);
    } catch (err) {
      if (!err.code) return; // no connection: it is attached when there is one
      if (!known) this.topics.delete(id);
      if (this.current === t) this.current = null;
      throw err;
    }
  }

  close() {
    const t = this.current;
    this.current = null;
    if (t) this.#detach(t);
    this.onChange();
  }

  // detach leaves a topic that is neither shown nor has anything to send.
  #detach(t) {
    if (!t.attached || t === this.current || t.waiting) return;
    t.attached = false;
    this.wire.request('leave', { topic: t.id }).catch(() => {});
  }

  async #attach(t) {
    if (t.attaching) return;
    t.attaching = true;
    try {
      await this.wire.request('sub', { topic: t.id, get: { what: 'desc sub' } });
      t.attached = true;
      t.loaded = false;
      await this.#load(t);
    } finally {
      t.attaching = false;
    }
    this.#acknowledge(t);
    this.#settle(t);
    this.#detach(t);
  }

  // load fetches what was missed, as soon as it may be read: to some groups one is only invited.
  async #load(t) {
    if (t.loaded || t.acs.mode !== undefined && !t.can('R')) return;
    t.loaded = true;
    await Promise.all([
      t.last ? this.#catchUp(t, t.last) : this.#page(t),
      this.wire.request('get', { topic: t.id, what: 'del', del: { since: t.clear + 1 } }).catch(() => {}),
    ]);
  }

  // history asks for messages, newest first, and returns how many came.
  async #history(t, range) {
    const { params } = await this.wire.request('get', { topic: t.id, what: 'data', data: range });
    return params?.count ?? 0;
  }

  async #page(t, before) { t.complete = await this.#history(t, { before, limit: PAGE }) < PAGE; }

  // catchUp fetches what came after the message `last`. If that is too much, the older messages are
  // forgotten, so that there is no gap; they can be paged in again.
  async #catchUp(t, last) {
    let before;
    for (let i = 0; i < CATCH_UP; i++) {
      const count = await this.#history(t, { since: last + 1, before, limit: CATCH_UP_PAGE });
      before = Math.min(...[...t.messages.keys()].filter(seq => seq > last));
      if (!count || before === last + 1) return;
    }
    for (const seq of [...t.messages.keys()]) if (seq <= last) t.messages.delete(seq);
    t.complete = false;
  }

  // older fetches the page before the oldest message that is here.
  async older(t) {
    if (t.complete || t.fetching || !t.attached || !t.messages.size) return;
    t.fetching = true;
    try { await this.#page(t, t.first); } finally { t.fetching = false; this.onChange(); }
  }

  send(t, content, head = {}, attachments) {
    if (typeof content === 'object') head = { mime: 'text/x-drafty', ...head };
    t.outbox.push({ local: `out${++this.sent}`, from: this.me.id, ts: new Date().toISOString(), head, content, attachments, after: t.seq });
    this.#post(t, t.outbox.at(-1));
  }

  async #post(t, m) {
    m.failed = null;
    this.onChange();
    if (!t.attached) return; // it is sent when the topic is attached
    m.underway = true;
    try {
      const extra = m.attachments && { attachments: m.attachments };
      const { params, ts } = await this.wire.request('pub', { topic: t.id, noecho: true, head: m.head, content: m.content }, extra);
      this.#put(t, { seq: params.seq, from: m.from, ts, head: m.head, content: m.content });
      this.discard(t, m);
    } catch (err) {
      if (!err.code) return; // it may have arrived: settle() finds out
      m.failed = err;
    } finally {
      m.underway = false;
      this.#detach(t);
      this.onChange();
    }
  }

  // settle is for messages whose fate a lost connection has hidden: those that are in the history were sent, the rest are sent now.
  #settle(t) {
    const same = (a, b) => JSON.stringify([a.content, a.head ?? {}]) === JSON.stringify([b.content, b.head ?? {}]);
    for (const m of t.outbox.filter(m => !m.failed && !m.underway)) {
      const there = [...t.messages.values()].find(d => d.seq > m.after && d.from === m.from && !d.settled && same(d, m));
      if (!there) this.#post(t, m);
      else { there.settled = true; this.discard(t, m); }
    }
  }

  retry(t, m) { return this.#post(t, m); }

  discard(t, m) {
    t.outbox = t.outbox.filter(o => o !== m);
    this.onChange();
  }

  typing(t) {
    if (!t.attached || Date.now() - (t.typed ?? 0) < TYPING_MS) return;
    t.typed = Date.now();
    this.wire.note({ topic: t.id, what: 'kp' });
  }

  async erase(t, message, hard) {
    const delseq = [message.seq, ...message.edits].sort((a, b) => a - b).map(low => ({ low }));
    const { params } = await this.wire.request('del', { topic: t.id, what: 'msg', hard, delseq });
    this.#erase(t, { clear: params?.del, delseq });
    this.onChange();
  }

  // find looks for people and groups by alias, login, e-mail, address, or in Tinode's query language.
  async find(text) {
    let query = text.trim().replace(/^@/, '');
    if (/^\S+@\S+$/.test(query)) query = `email:${query},alias:${query}`;
    else if (/^\+\d+$/.test(query)) query = `tel:${query}`;
    else if (!/[\s,:"]/.test(query)) query = `alias:${query},basic:${query},${query}`;
    await (this.finding ??= this.wire.request('sub', { topic: 'fnd' }).catch(err => { this.finding = null; throw err; }));
    await this.wire.request('set', { topic: 'fnd', desc: { public: query } });
    return (await this.wire.request('get', { topic: 'fnd', what: 'sub' })).sub ?? [];
  }

  async createGroup(name) {
    const { topic } = await this.wire.request('sub', { topic: 'new', set: { desc: { public: { fn: name } } } });
    this.topic(topic).public = { fn: name };
    this.#relist(topic);
    return topic;
  }

  async invite(t, user) {
    await this.wire.request('set', { topic: t.id, sub: { user } });
    await this.wire.request('get', { topic: t.id, what: 'sub' });
  }

  async remove(t, user) {
    await this.wire.request('del', { topic: t.id, what: 'sub', user });
    t.members.delete(user);
    this.onChange();
  }

  async leave(t) {
    await this.wire.request('leave', { topic: t.id, unsub: true });
    this.current = null;
    this.#gone(t.id);
  }

  // accept and block answer a stranger who asks for a conversation.
  async accept(t) {
    const mode = t.acs.given;
    await this.wire.request('set', { topic: t.id, sub: { mode } });
    if (!isGroup(t.id)) await this.wire.request('set', { topic: t.id, sub: { user: t.id, mode } });
    await this.wire.request('get', { topic: t.id, what: 'desc' });
  }

  async block(t) {
    await this.wire.request('set', { topic: t.id, sub: { mode: t.acs.want.replace(/[JP]/g, '') } });
    this.close();
  }

  async rename(name) {
    await this.wire.request('set', { topic: 'me', desc: { public: { fn: name } } });
    this.me.public = { ...this.me.public, fn: name };
    this.onChange();
  }

  // --- files: the token travels in a header, never in an address ---

  #headers() { return { 'X-Tinode-APIKey': API_KEY, 'X-Tinode-Auth': `Token ${this.ticket.token}` }; }

  async upload(file) {
    const body = new FormData();
    body.append('file', file);
    body.append('id', '1');
    const answer = await fetch('/v0/file/u/', { method: 'POST', headers: this.#headers(), body });
    const { ctrl } = await answer.json().catch(() => ({}));
    if (!answer.ok || !ctrl?.params?.url) throw new Refused(ctrl ?? { code: answer.status, text: answer.statusText });
    return ctrl.params.url;
  }

  // file resolves with an object URL for a file on this node or else for data inside of the message (beside a file
  // that is its preview), undefined if it is elsewhere.
  async file({ ref, val, mime, type, data }) {
    val ??= data;
    mime = RASTER.test(mime ?? type ?? '') ? mime ?? type : 'application/octet-stream';
    const url = ref && new URL(String(ref), `${location.origin}/v0/file/s/`);
    const path = url?.origin === location.origin ? url.pathname : '';
    const key = path || val;
    if (!key) return undefined;
    const load = () => path ? this.#download(path) : Uint8Array.from(atob(val), c => c.charCodeAt(0));
    if (!this.files.has(key)) this.files.set(key, Promise.resolve().then(load).then(part => URL.createObjectURL(new Blob([part], { type: mime }))));
    return this.files.get(key);
  }

  async #download(path) {
    const answer = await fetch(path, { headers: this.#headers() });
    if (!answer.ok) throw new Refused({ code: answer.status, text: answer.statusText });
    return answer.blob();
  }
}
