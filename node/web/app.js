// What the user sees. paint() makes the document show what chat.js has; it is called
// after every change and touches only what differs. Handlers call methods of chat and
// tell in plain words what went wrong.

import { Chat } from './chat.js';
import { $, h, icon, keyed } from './dom.js';
import { compose, plain, quote, render, safeAddress } from './drafty.js';
import { isGroup } from './topic.js';

const SAY = {
  login: { 401: 'Login or password is wrong.', 404: 'Login or password is wrong.' },
  register: { 409: 'This login is taken. Choose another one.', 422: 'This login or password is too short, or the node does not accept it.', 403: 'This node does not take new accounts.' },
  code: { 401: 'This code is wrong or too old.', 400: 'This code is wrong or too old.' },
  resume: { '*': 'You have been logged out. Please log in again.' },
  open: { 403: 'You have no access to this chat.', 404: 'There is nobody and no group of that name.' },
  gone: { '*': 'This chat is no longer available to you.' },
  upload: { 413: 'This file is too large for this node.', 415: 'This node does not take such files.' },
  '*': {
    0: 'No connection to the node. Please try again.', 403: 'You are not allowed to do that.', 404: 'That is not there any more.',
    409: 'Not possible right now. Please try again.', 413: 'This is too large for this node.', 429: 'That was too much at once. Please wait a moment.',
    500: 'The node had trouble. Please try again.', 503: 'The node is busy. Please try again in a moment.', 507: 'The node has no space left.',
  },
};
const explain = (err, doing) => SAY[doing]?.[err.code] ?? SAY[doing]?.['*'] ?? SAY['*'][err.code]
  ?? (err.code ? `The node refused: ${err.text} (${err.code}).` : `Something went wrong: ${err.message}`);

// --- telling what happened ---

let toastTimer;
function toast(text) {
  $('toast').textContent = text;
  $('toast').hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $('toast').hidden = true; }, 6000);
}

// act runs what the user asked for and tells if it failed.
const act = (doing, what, tell = toast) => Promise.resolve().then(what).catch(err => { tell(explain(err, doing)); if (err.code === undefined) console.error(err); });

const time = ts => new Date(ts).toLocaleTimeString([], { timeStyle: 'short' });
function day(ts) {
  const date = new Date(ts), days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(ts).setHours(0, 0, 0, 0)) / 864e5);
  return days === 0 ? 'Today' : days === 1 ? 'Yesterday' : date.toLocaleDateString([], { dateStyle: days < 300 ? 'medium' : 'long' });
}

// --- state ---

let painting;
const chat = new Chat({
  onChange: () => { painting ??= setTimeout(() => { painting = undefined; paint(); }); },
  onTrouble: (err, doing) => { toast(explain(err, doing)); if (doing === 'gone') location.hash = ''; },
});
let pendingCode = null; // {token, method} while a confirmation code is asked for
let about = null; // {reply: message} or {edit: message}: what the composer is about
let found = null; // results of the last search

function name(id) {
  if (id === 'slf') return 'Saved messages';
  const card = id === chat.me?.id ? chat.me.public : (chat.topics.get(id)?.public ?? chat.current?.members.get(id)?.public);
  return card?.fn || String(id ?? '').replace(/@.*/, '');
}

function face(id, card, online) {
  const initials = (card?.fn || name(id) || '?').split(/\s+/).slice(0, 2).map(word => [...word][0] ?? '').join('').toUpperCase();
  const el = h('span', { className: 'face', 'aria-hidden': 'true' }, initials);
  el.style.setProperty('--hue', [...String(id)].reduce((n, c) => (n * 31 + c.codePointAt(0)) % 360, 7));
  if (card?.photo) chat.file(card.photo).then(src => src && el.replaceChildren(h('img', { src, alt: '' }))).catch(() => {});
  return h('span', { className: `face-box ${isGroup(id) ? 'group' : ''}` }, el, online && h('span', { className: 'dot' }));
}

// --- painting ---

function paint() {
  const inside = !!(chat.me || chat.ticket);
  $('entry').hidden = inside;
  $('app').hidden = !inside;
  paintLink();
  if (!inside) return paintEntry();
  if (!chat.me) return;
  if (!routed) { routed = true; route(); }
  paintSide();
  paintChat();
  if ($('ask').open) dialogPaint?.();
}

function paintLink() {
  $('link').hidden = chat.state === 'open' || !chat.state;
  $('link').textContent = chat.state === 'lost' ? 'No connection. Trying again…' : 'Connecting…';
}

function paintEntry() {
  routed = false;
  const registering = $('to-register').ariaPressed === 'true';
  $('entry').classList.toggle('registering', registering);
  const email = registering && !!chat.limits?.reqCred?.auth?.includes('email');
  $('entry').classList.toggle('with-email', email);
  $('entry-email').required = email;
  $('entry-go').textContent = registering ? 'Create account' : 'Log in';
  $('entry-password').autocomplete = registering ? 'new-password' : 'current-password';
  $('entry-form').hidden = !!pendingCode;
  $('code-form').hidden = !pendingCode;
  $('code-where').textContent = pendingCode ? `sent by ${pendingCode.method}` : '';
  document.title = 'parley';
}

function paintSide() {
  $('profile').replaceChildren(face(chat.me.id, chat.me.public), h('strong', {}, name(chat.me.id)));
  const topics = [...chat.topics.values()].filter(t => t.id !== 'me' && t.id !== 'fnd').sort((a, b) => (b.touched > a.touched) - (b.touched < a.touched) || (a.id > b.id) - (a.id < b.id));
  keyed($('topics'), topics, t => {
    const newest = t.shown().at(-1);
    const line = t.typing.size ? 'typing…' : newest ? (newest.from === chat.me.id ? 'You: ' : '') + plain(newest.content).slice(0, 80) : (isGroup(t.id) ? 'Group' : '');
    const when = t.touched && (day(t.touched) === 'Today' ? time(t.touched) : day(t.touched));
    const view = { key: t.id, name: name(t.id), line, when, unread: t.unread, online: !!t.online, here: t === chat.current, photo: !!t.public?.photo };
    return { ...view, build: () => topicRow(t.id, view, t.public) };
  });
  $('no-topics').hidden = topics.length > 0;
  const unread = topics.reduce((n, t) => n + (t.can('P') ? t.unread : 0), 0);
  document.title = unread ? `(${unread}) parley` : 'parley';
  $('found').hidden = !found;
  $('found-none').textContent = found?.length ? `${found.length} found` : 'Nobody found. Type a whole login, address or e-mail.';
  keyed($('found-list'), found ?? [], f => ({
    key: f.topic, name: f.public?.fn,
    build: () => topicRow(f.topic, { name: f.public?.fn || f.topic, line: (f.private ?? []).map(tag => tag.replace(/^\w+:/, '')).join(', ') }, f.public),
  }));
}

function topicRow(id, { name, line, when, unread, online, here }, card) {
  return h('li', {}, h('a', { href: `#${id}`, 'aria-current': here ? 'true' : 'false', className: unread ? 'unread' : '' },
    face(id, card, online),
    h('span', { className: 'who' }, h('strong', {}, name), online && h('span', { className: 'hear' }, ' online')),
    h('span', { className: 'when' }, when || ''),
    h('span', { className: 'line' }, line || ''),
    unread > 0 && h('span', { className: 'badge', 'aria-label': `${unread} unread` }, String(unread))));
}

function paintChat() {
  const t = chat.current;
  $('chat').hidden = !t;
  $('nothing').hidden = !!t;
  document.body.dataset.pane = t ? 'chat' : 'list';
  if (!t) { $('messages').topic = null; return; }
  keyed($('chat-face'), [t], () => ({ key: t.id, online: !!t.online, name: name(t.id), photo: !!t.public?.photo, build: () => face(t.id, t.public, t.online) }));
  $('chat-name').textContent = name(t.id);
  const state = standing(t);
  if ($('chat-about').textContent !== state) $('chat-about').textContent = state;
  $('chat-about').classList.toggle('typing', t.typing.size > 0);
  $('members-open').hidden = !isGroup(t.id) || t.acs.mode === undefined; // what the dialog offers depends on the mode
  $('stranger').hidden = !t.asks;
  $('composer').hidden = t.asks;
  const mute = t.acs.mode !== undefined && !t.can('W');
  $('text').disabled = $('send').disabled = $('attach').disabled = mute;
  $('text').placeholder = mute ? 'You cannot write here' : 'Message';
  $('about').hidden = !about;
  $('about-text').textContent = !about ? '' : about.edit ? 'Editing your message' : `Reply to ${name(about.reply.from)}: ${plain(about.reply.content).slice(0, 80)}`;
  paintMessages(t);
}

function standing(t) {
  if (t.typing.size) return isGroup(t.id) ? `${[...t.typing.keys()].map(name).join(', ')} typing…` : 'typing…';
  if (isGroup(t.id)) {
    const n = t.joined.length || t.subcnt;
    return n ? `${n} ${n === 1 ? 'member' : 'members'}` : '';
  }
  if (t.online) return 'online';
  return t.seen?.when ? `last seen ${day(t.seen.when).replace(/^[TY]/, c => c.toLowerCase())}, ${time(t.seen.when)}` : 'offline';
}

function paintMessages(t) {
  const log = $('log'), list = $('messages');
  const fresh = list.topic !== t.id;
  const below = log.scrollHeight - log.scrollTop;
  const atEnd = fresh || below - log.clientHeight < 60;
  const newest = list.newest;
  $('older').hidden = t.complete || !t.messages.size;
  const shown = [...t.shown(), ...t.outbox];
  let before;
  keyed(list, shown, m => {
    const newDay = !before || day(before.ts) !== day(m.ts);
    const first = newDay || before.from !== m.from || m.seq === t.unreadFrom;
    before = m;
    const mark = m.local ? (m.failed ? 'failed' : 'wait') : m.from === chat.me.id ? t.mark(m.seq, chat.me.id) : '';
    const view = { key: `${t.id} ${m.seq ?? m.local}`, first, day: newDay ? day(m.ts) : '', unread: m.seq === t.unreadFrom, mark, author: name(m.from), edits: m.edits, can: t.acs.mode };
    return { ...view, build: () => messageRow(t, m, view) };
  });
  list.topic = t.id;
  list.newest = shown.at(-1)?.seq ?? shown.at(-1)?.local;
  if (atEnd || (newest !== list.newest && shown.at(-1)?.from === chat.me.id)) log.scrollTop = log.scrollHeight;
  else if (Math.abs(log.scrollHeight - log.scrollTop - below) > 1 && newest === list.newest) log.scrollTop = log.scrollHeight - below; // older ones came above
}

function messageRow(t, m, view) {
  const own = m.from === chat.me.id;
  const notice = !m.from && m.head?.auto;
  const tool = (what, label, run) => h('button', { type: 'button', className: 'icon', title: label, 'aria-label': label, onclick: run }, icon(what));
  const tools = m.local ? null : h('div', { className: 'tools' },
    t.can('W') && tool('reply', 'Reply', () => composeAbout({ reply: m })),
    own && t.can('W') && editable(m) && tool('edit', 'Edit', () => composeAbout({ edit: m })),
    tool('delete', 'Delete', () => askDelete(t, m)));
  const marks = { wait: ['wait', 'sending'], sent: ['sent', 'sent'], received: ['received', 'received'], read: ['received', 'read'] };
  const body = h('div', { className: 'body' });
  body.append(render(m.content, { attachment, name }));
  return h('li', { className: `message ${own ? 'own' : ''} ${view.first ? 'first' : ''} ${notice ? 'notice' : ''}`, id: m.seq ? `m${m.seq}` : '' },
    view.day && h('p', { className: 'rule' }, view.day),
    view.unread && h('p', { className: 'rule unread-rule' }, 'New messages'),
    view.first && !own && isGroup(t.id) && m.from && h('strong', { className: 'author' }, view.author),
    h('div', { className: 'row' },
      h('div', { className: 'bubble' }, h('span', { className: 'hear' }, `${own ? 'You' : view.author}: `), body,
        h('span', { className: 'meta' }, m.edits?.length ? 'edited ' : '', h('time', { dateTime: m.ts }, time(m.ts)),
          marks[view.mark] && h('span', { className: `mark ${view.mark}` }, icon(...marks[view.mark])))),
      tools),
    m.failed && h('p', { className: 'failed' }, `Not sent. ${explain(m.failed, 'send')} `,
      h('button', { type: 'button', onclick: () => chat.retry(t, m) }, 'Send again'), ' ',
      h('button', { type: 'button', onclick: () => chat.discard(t, m) }, 'Discard')));
}

const editable = m => typeof m.content === 'string' || (m.content?.ent ?? []).every(e => e.tp === 'LN');

function attachment(tp, data) {
  const label = String(data.name || (tp === 'IM' ? 'Picture' : 'File'));
  const elsewhere = () => h('a', { href: safeAddress(data.ref) || '#', target: '_blank', rel: 'noopener noreferrer nofollow' }, `${label} (on another site)`);
  if (tp === 'IM') {
    const box = h('a', { className: 'picture', download: label, 'aria-label': `Picture: ${label}` }, h('span', { className: 'faint' }, 'Loading…'));
    const show = src => {
      if (!src) return box.replaceWith(elsewhere());
      const img = h('img', { src, alt: label, onload: () => { if ($('log').scrollHeight - $('log').scrollTop - $('log').clientHeight < img.height + 80) $('log').scrollTop = 1e9; } });
      if (data.width > 0 && data.height > 0) Object.assign(img, { width: data.width, height: data.height });
      box.href = src;
      box.replaceChildren(img);
    };
    chat.file(data).then(show, err => box.replaceChildren(`${label}: ${explain(err, 'file')}`));
    return box;
  }
  return h('button', { type: 'button', className: 'file', onclick: () => act('file', async () => {
    const href = await chat.file(data);
    if (href) h('a', { href, download: label }).click();
    else window.open(safeAddress(data.ref), '_blank', 'noopener,noreferrer');
  }) }, icon('file'), label, data.size > 0 && h('span', { className: 'faint' }, ` ${Math.ceil(data.size / 1024)} kB`));
}

// --- entering ---

function chooseEntry(id) {
  for (const b of ['to-login', 'to-register']) $(b).ariaPressed = String(b === id);
  $('entry-trouble').textContent = '';
  paintEntry();
}
for (const id of ['to-login', 'to-register']) $(id).onclick = () => chooseEntry(id);

// entered goes on with the answer to a log-in: either one is in, or a code is asked for.
function entered(answer) {
  pendingCode = answer ?? null;
  $('entry-password').value = $('code').value = '';
  paint();
  if (pendingCode) $('code').focus();
}

$('entry-form').onsubmit = e => {
  e.preventDefault();
  const registering = $('to-register').ariaPressed === 'true';
  const [login, password, keep] = [$('entry-login').value.trim(), $('entry-password').value, $('entry-keep').checked];
  $('entry-trouble').textContent = '';
  if (login.includes(':')) return void ($('entry-trouble').textContent = 'A login has no colon in it.');
  $('entry-go').disabled = true;
  act(registering ? 'register' : 'login', async () => entered(registering
    ? await chat.register({ login, password, keep, name: $('entry-name').value.trim() || login, email: $('entry-email').value })
    : await chat.login(login.replace(/@.*/, ''), password, keep)), text => { $('entry-trouble').textContent = text; })
    .finally(() => { $('entry-go').disabled = false; });
};

$('code-form').onsubmit = e => {
  e.preventDefault();
  act('code', async () => entered(await chat.confirm(pendingCode, $('code').value.trim())), text => { $('code-trouble').textContent = text; });
};

$('logout').onclick = () => { location.hash = ''; found = null; chat.logout(); chooseEntry('to-login'); };

// --- choosing a chat: the address of the page names it ---

let routed = false;
function route() {
  const id = decodeURIComponent(location.hash.slice(1));
  if (!chat.me || (chat.current?.id ?? '') === id) return;
  if (chat.current) chat.current.draft = $('text').value;
  const result = found?.find(f => f.topic === id);
  if (result) { found = null; $('find').value = ''; }
  composeAbout(null);
  act('open', () => chat.open(id, result).catch(err => { location.hash = ''; throw err; }));
  $('text').value = chat.current?.draft ?? '';
  if (id && matchMedia('(pointer: fine)').matches) setTimeout(() => $('text').focus());
}
addEventListener('hashchange', route);
$('back').onclick = () => { location.hash = ''; };

$('find-form').onsubmit = e => {
  e.preventDefault();
  const text = $('find').value.trim();
  if (!text) found = null;
  act('find', async () => { if (text) found = await chat.find(text); paint(); });
};
$('find').oninput = () => { if (!$('find').value) { found = null; paint(); } };

// --- writing ---

function composeAbout(what) {
  if (about?.edit && !what) $('text').value = '';
  about = what;
  if (what?.edit) $('text').value = plain(what.edit.content);
  if (what) $('text').focus();
  paint();
}
$('about-drop').onclick = () => composeAbout(null);

$('composer').onsubmit = e => {
  e.preventDefault();
  const t = chat.current, text = $('text').value.trim();
  if (!t || !text) return;
  if (about?.edit) chat.send(t, compose(text), { replace: `:${about.edit.seq}` });
  else if (about?.reply) chat.send(t, compose(text, quote(name(about.reply.from), about.reply.from, about.reply.content)), { reply: String(about.reply.seq) });
  else chat.send(t, compose(text));
  $('text').value = '';
  about = null;
  t.unreadFrom = 0;
  $('text').rows = 1;
  paint();
};

$('text').onkeydown = e => {
  if (e.key === 'Enter' && !e.shiftKey && !e.isComposing && matchMedia('(pointer: fine)').matches) {
    e.preventDefault();
    $('composer').requestSubmit();
  } else if (e.key === 'ArrowUp' && !$('text').value) {
    const last = chat.current.shown().findLast(m => m.from === chat.me.id && editable(m));
    if (last) { e.preventDefault(); composeAbout({ edit: last }); }
  }
};
$('text').oninput = () => {
  $('text').rows = Math.min(6, $('text').value.split('\n').length);
  if ($('text').value) chat.typing(chat.current);
};
$('text').onpaste = e => { if (e.clipboardData.files.length) { e.preventDefault(); sendFile(e.clipboardData.files[0]); } };
$('attach').onchange = () => { if ($('attach').files.length) sendFile($('attach').files[0]); $('attach').value = ''; };

async function sendFile(file) {
  const t = chat.current;
  await act('upload', async () => {
    const picture = /^image\/(png|jpeg|gif|webp)$/.test(file.type) && await createImageBitmap(file).catch(() => null);
    const ref = await chat.upload(file);
    const data = { mime: file.type || 'application/octet-stream', name: file.name, size: file.size, ref };
    const content = picture
      ? { txt: ' ', fmt: [{ at: 0, len: 1, key: 0 }], ent: [{ tp: 'IM', data: { ...data, width: picture.width, height: picture.height } }] }
      : { txt: '', fmt: [{ at: -1, len: 0, key: 0 }], ent: [{ tp: 'EX', data }] };
    chat.send(t, content, {}, [ref]);
  });
}

$('older').onclick = () => act('history', () => chat.older(chat.current));
$('log').onscroll = () => { if ($('log').scrollTop < 40 && chat.current) act('history', () => chat.older(chat.current)); };
$('accept').onclick = () => act('accept', () => chat.accept(chat.current));
$('block').onclick = () => act('block', async () => { await chat.block(chat.current); location.hash = ''; });

addEventListener('focus', () => chat.seen());
document.addEventListener('visibilitychange', () => chat.seen());
addEventListener('keydown', e => {
  if (e.key === 'k' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); $('find').focus(); }
  if (e.key !== 'Escape' || $('ask').open) return;
  if (about) composeAbout(null);
  else if (found) { found = null; $('find').value = ''; paint(); }
  else location.hash = '';
});

// --- dialogs ---

let dialogPaint = null; // shows in the open dialog what has changed meanwhile
$('ask').onclose = () => { dialogPaint = null; };

// ask opens the dialog. Each button is [label, run, class]; it closes unless run fails or returns true.
function ask(title, body, buttons) {
  $('ask-title').textContent = title;
  $('ask-trouble').textContent = '';
  $('ask-body').replaceChildren(...body);
  $('ask-buttons').replaceChildren(...buttons.map(([label, run, className = '']) => h('button', { className, type: className.includes('primary') ? 'submit' : 'button', onclick: e => {
    e.preventDefault();
    act('ask', async () => { if (await run?.() !== true) $('ask').close(); }, text => { $('ask-trouble').textContent = text; });
  } }, label)));
  $('ask').showModal();
}

function askDelete(t, m) {
  ask('Delete this message?', [h('p', { className: 'faint' }, plain(m.content).slice(0, 200))], [
    ['Cancel'],
    ['Delete for me', () => chat.erase(t, m, false)],
    ...t.can('D') ? [['Delete for everyone', () => chat.erase(t, m, true), 'danger']] : [],
  ]);
}

$('new-group').onclick = () => {
  const input = h('input', { maxLength: 60, required: true, id: 'group-name' });
  ask('New group', [h('label', {}, 'Name of the group ', input)], [['Cancel'], ['Create', async () => {
    if (!input.value.trim()) return true;
    location.hash = await chat.createGroup(input.value.trim());
  }, 'primary']]);
};

$('profile').onclick = () => {
  const input = h('input', { value: name(chat.me.id), maxLength: 60, id: 'profile-name' });
  const [alias] = chat.me.tags.filter(tag => tag.startsWith('alias:'));
  const node = chat.me.id.split('@')[1];
  const address = alias ? alias.slice(6) + (node ? `@${node}` : '') : chat.me.id;
  ask('Your profile', [h('label', {}, 'Your name ', input), h('p', {}, 'Others find you as ', h('code', { id: 'address' }, address))],
    [['Cancel'], ['Save', () => chat.rename(input.value.trim() || name(chat.me.id)), 'primary']]);
};

$('members-open').onclick = () => {
  const t = chat.current;
  const list = h('ul', { className: 'topics members' }), others = h('ul', { className: 'topics members' });
  const input = h('input', { type: 'search', placeholder: 'Add someone: login or address', 'aria-label': 'Find people to add', id: 'member-find' });
  const row = (id, card, note, online, button) => h('li', {}, face(id, card, online), h('span', { className: 'who' }, h('strong', {}, card?.fn || name(id)), h('span', { className: 'faint' }, note)), button);
  const say = text => { $('ask-trouble').textContent = text; };
  const button = (label, who, run) => h('button', { type: 'button', 'aria-label': `${label} ${who}`, onclick: () => act('members', async () => { say(''); await run(); }, say) }, label);
  let results;
  const show = () => {
    keyed(list, t.joined, ([user, m]) => {
      const self = user === chat.me.id;
      const note = self ? ' you' : /O/.test(m.acs?.mode) ? ' owner' : /A/.test(m.acs?.mode) ? ' admin' : '';
      const view = { key: user, note, who: m.public?.fn ?? name(user), online: !!m.online, can: t.can('A') && !self };
      return { ...view, build: () => row(user, m.public ?? { fn: view.who }, note, m.online, view.can && button('Remove', view.who, () => chat.remove(t, user))) };
    });
    const known = [...chat.topics.values()].map(c => ({ topic: c.id, public: c.public }));
    const more = (results ?? known).filter(c => c.topic.startsWith('usr') && !t.joined.some(([user]) => user === c.topic));
    keyed(others, more.length || !results ? more : [null], c => c
      ? { key: c.topic, who: c.public?.fn, build: () => row(c.topic, c.public, '', false, button('Add', c.public?.fn, () => chat.invite(t, c.topic))) }
      : { key: '', build: () => h('li', { className: 'faint' }, 'Nobody else found.') });
  };
  input.onkeydown = e => {
    if (e.key !== 'Enter') return;
    e.preventDefault();
    act('find', async () => { results = input.value.trim() ? await chat.find(input.value) : undefined; show(); }, say);
  };
  show();
  ask(name(t.id), [list, ...t.can('S') || t.can('A') ? [input, others] : []], [
    ...t.can('O') ? [] : [['Leave group', async () => { await chat.leave(t); location.hash = ''; }, 'danger']],
    ['Close', undefined, 'primary'],
  ]);
  dialogPaint = show;
};

paint();
