import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;

T('group', "create: ctrl 200 with the permanent name, tmpname and owner's acs; SDK renames its topic", async () => {
  const a = await h.user();
  const tmp = a.t.newGroupTopicName(false);
  const m = a.mark();
  const tp = a.t.getTopic(tmp);
  await tp.subscribe(undefined, { desc: { public: { fn: 'G' }, private: { comment: 'mine' } } });
  const c = await a.ctrl({ code: 200 }, m);
  assert.match(c.topic, h.GROUP);
  assert.equal(c.params.tmpname, tmp);
  assert.deepEqual(c.params.acs, { want: 'JRWPASDO', given: 'JRWPASDO', mode: 'JRWPASDO' });
  assert.equal(tp.name, c.topic);
  assert.ok(tp.isSubscribed() && tp.getAccessMode().isOwner());
});
T('group', "create tells the creator's other sessions: {pres acs} with full modes, then {pres on}, on me", async () => {
  const a = await h.user();
  const b = await h.again(a);
  const m = b.mark();
  const g = await h.group(a);
  const p = await b.pres({ what: 'acs', topic: 'me', src: g.name }, m);
  assert.deepEqual(p.dacs, { want: 'JRWPASDO', given: 'JRWPASDO' });
  await b.pres({ what: 'on', topic: 'me', src: g.name }, m);
});
T('group', 'desc after creation: defaults JRWPS/N, public, private, acs, times', async () => {
  const a = await h.user();
  const g = await h.group(a, { desc: { public: { fn: 'G', note: 'n' }, private: { comment: 'c' } } });
  const d = await h.part(a, g.name, 'desc');
  assert.deepEqual(d.defacs, { auth: 'JRWPS', anon: 'N' });
  assert.deepEqual([d.public, d.private], [{ fn: 'G', note: 'n' }, { comment: 'c' }]);
  assert.equal(d.acs.getMode ? d.acs.getMode() : d.acs.mode, 'JRWPASDO');
  assert.ok(d.created instanceof Date && d.updated instanceof Date && d.touched instanceof Date);
  assert.ok(!d.seq && !d.chan);
});
T('group', 'creation with own defacs and tags', async () => {
  const a = await h.user();
  const tag = h.uniq('tag');
  const g = await h.group(a, {
    desc: { public: { fn: 'G' }, defacs: { auth: 'JRP', anon: 'J' } },
    tags: [tag, tag.toUpperCase()],
  });
  const r = await h.rawOf(a);
  await r.req('sub', { topic: g.name });
  assert.deepEqual((await r.req('get', { topic: g.name, what: 'desc' }, { meta: true })).desc.defacs, { auth: 'JRP', anon: 'J' });
  assert.deepEqual((await r.req('get', { topic: g.name, what: 'tags' }, { meta: true })).tags, [tag]);
});
T('group', 'creation refused: bad mode 400, restricted tag 403, each on the temporary name', async () => {
  const r = await h.rawOf(await h.user({ me: false }));
  let c = await r.req('sub', { topic: 'newA', set: { sub: { mode: 'JRX' } } });
  assert.deepEqual([c.code, c.topic], [400, 'newA']);
  c = await r.req('sub', { topic: 'newB', set: { tags: ['basic:someone'] } });
  assert.deepEqual([c.code, c.topic], [403, 'newB']);
});
T('group', '"new" with and without a suffix always makes another group', async () => {
  const r = await h.rawOf(await h.user({ me: false }));
  const names = [];
  for (const topic of ['new', 'new', 'newXyz', 'newXyz']) names.push((await r.req('sub', { topic })).topic);
  assert.equal(new Set(names).size, 4);
});
T('group', 'attaching twice in a session is 304', async () => {
  const { us, name } = await h.room(1);
  const r = await h.rawOf(us[0].c);
  assert.equal((await r.req('sub', { topic: name })).code, 200);
  assert.equal((await r.req('sub', { topic: name })).code, 304);
});
T('group', 'unknown group 404, malformed name 400 or 404', async () => {
  const a = await h.user();
  await h.fails(a.t.subscribe('grpAAAAAAAAAAA'), 404);
  const r = await h.rawOf(a);
  for (const topic of ['grpA', 'abc', 'zzz']) assert.ok([400, 404].includes((await r.req('sub', { topic })).code), topic);
  assert.equal((await r.req('sub', { topic: '' })).code, 400);
});
T('group', 'joining: ctrl with acs = default access; desc, members, no tags for him', async () => {
  const a = await h.user();
  const g = await h.group(a);
  const b = await h.user();
  const m = b.mark();
  await b.t.subscribe(g.name, { what: 'desc sub tags' });
  const c = await b.ctrl({ code: 200, topic: g.name }, m);
  assert.deepEqual(c.params.acs, { want: 'JRWPS', given: 'JRWPS', mode: 'JRWPS' });
  await b.ctrl({ code: 403, topic: g.name }, m); // tags are the owner's
  const d = b.since(m).find(p => p.meta && p.meta.topic === g.name && p.meta.desc).meta.desc;
  assert.equal(d.public.fn, g.public.fn);
  assert.equal(d.private, undefined);
  const s = b.since(m).find(p => p.meta && p.meta.topic === g.name && p.meta.sub).meta.sub;
  assert.deepEqual(s.map(x => x.user).sort(), [a.uid, b.uid].sort());
});
T('group', 'joining: attached members get {pres acs} with full modes, then {pres on}, both with src', async () => {
  const { o, us, name } = await h.room(1);
  const b = await h.user();
  const ms = [o.mark(), us[0].c.mark()];
  await h.join(b, name);
  for (const [i, c] of [o, us[0].c].entries()) {
    const p = await c.pres({ what: 'acs', topic: name, src: b.uid }, ms[i]);
    assert.deepEqual(p.dacs, { want: 'JRWPS', given: 'JRWPS' });
    await c.pres({ what: 'on', topic: name, src: b.uid }, ms[i]);
    await h.sleep(100);
    assert.equal(c.allPres({ what: 'on', topic: name, src: b.uid }, ms[i]).length, 1, 'once');
    assert.equal(c.allPres({ what: 'acs', topic: name, src: b.uid }, ms[i]).length, 1, 'once');
  }
});
T('group', "joining: the owner's detached session learns on me, with tgt and act", async () => {
  const { o, name } = await h.room(0);
  const o2 = await h.again(o);
  const b = await h.user();
  await h.sleep(150);
  const m = o2.mark();
  await h.join(b, name);
  const p = await o2.pres({ what: 'acs', topic: 'me', src: name }, m);
  assert.deepEqual([p.tgt, p.act, p.dacs], [b.uid, b.uid, { want: 'JRWPS', given: 'JRWPS' }]);
});
T('group', 'joining: own other sessions get {pres acs} with full modes and {pres on} on me', async () => {
  const { name } = await h.room(0);
  const b = await h.user();
  const b2 = await h.again(b);
  const m = b2.mark();
  await h.join(b, name);
  const p = await b2.pres({ what: 'acs', topic: 'me', src: name }, m);
  assert.deepEqual(p.dacs, { want: 'JRWPS', given: 'JRWPS' });
  await b2.pres({ what: 'on', topic: 'me', src: name }, m);
  await h.sleep(100);
  assert.ok(b2.t.getTopic(name), 'the SDK knows the group now');
});
T('group', 'asking less than given: mode is the intersection', async () => {
  const { name } = await h.room(0);
  const b = await h.user();
  const t = await h.join(b, name, 'JR');
  assert.deepEqual([t.acs.getWant(), t.acs.getGiven(), t.acs.getMode()], ['JR', 'JRWPS', 'JR']);
  await h.fails(b.t.publish(name, 'x'), 403);
});
T('group', 'asking more than given: want is kept, mode is the intersection', async () => {
  const { o, name } = await h.room(0);
  const b = await h.user();
  const t = await h.join(b, name, 'JRWPASD');
  assert.deepEqual([t.acs.getWant(), t.acs.getGiven(), t.acs.getMode()], ['JRWPASD', 'JRWPS', 'JRWPS']);
  assert.equal((await h.members(o, name))[b.uid].acs.getMode(), 'JRWPS');
});
T('group', 'members list: times, online, acs, read and recv, public, own private; plain members see the same', async () => {
  const { o, us, name } = await h.room(2);
  await us[0].t.setMeta({ desc: { private: { comment: 'mine' } } });
  await h.text(us[0].t, 'hi');
  await us[1].c.data({ seq: 1 });
  us[1].t.noteRead(1);
  await o.info({ what: 'read', from: us[1].c.uid });
  await us[1].t.leave(false);
  await h.sleep(100);
  const r = await h.rawOf(us[0].c);
  await r.req('sub', { topic: name });
  const s = Object.fromEntries((await r.req('get', { topic: name, what: 'sub' }, { meta: true })).sub.map(x => [x.user, x]));
  assert.deepEqual(Object.keys(s).sort(), [o, us[0].c, us[1].c].map(c => c.uid).sort());
  assert.deepEqual([s[o.uid].online, s[us[0].c.uid].online, s[us[1].c.uid].online], [true, true, undefined]);
  assert.equal(s[o.uid].acs.mode, 'JRWPASDO');
  assert.equal(s[us[1].c.uid].acs.mode, 'JRWPS');
  assert.deepEqual([s[us[0].c.uid].read, s[us[0].c.uid].recv], [1, 1]);
  assert.equal(s[us[1].c.uid].read, 1);
  assert.equal(s[us[1].c.uid].public.fn, 'User ' + us[1].c.login);
  assert.deepEqual(s[us[0].c.uid].private, { comment: 'mine' });
  for (const u of [o.uid, us[1].c.uid]) assert.equal(s[u].private, undefined);
  for (const x of Object.values(s)) {
    assert.ok(x.updated);
    assert.equal(x.topic, undefined);
  }
});
T('group', '{get sub} for one user, and for a user who is no member: 204 or empty', async () => {
  const { o, us, name } = await h.room(2);
  const z = await h.user();
  assert.deepEqual(Object.keys(await h.members(o, name, { user: us[0].c.uid })), [us[0].c.uid]);
  const m = await o.t.getMeta(name, { what: 'sub', sub: { user: z.uid } });
  assert.ok(m.code === 204 || !m.sub || m.sub.length === 0);
});
T('group', '{get sub} with ims: members who left since then come as deleted; without ims they do not come', async () => {
  const { o, g, us, name } = await h.room(2);
  await h.sleep(1100);
  const ims = new Date().toISOString();
  await h.sleep(50);
  await us[0].t.leave(true);
  await g.delSubscription(us[1].c.uid);
  await h.sleep(50);
  const r = await h.rawOf(o);
  await r.req('sub', { topic: name });
  const s = (await r.req('get', { topic: name, what: 'sub', sub: { ims } }, { meta: true })).sub;
  assert.deepEqual(
    s
      .filter(x => x.deleted)
      .map(x => x.user)
      .sort(),
    us.map(u => u.c.uid).sort(),
  );
  assert.deepEqual(
    (await r.req('get', { topic: name, what: 'sub' }, { meta: true })).sub.map(x => x.user),
    [o.uid],
  );
});
T('group', 'group on me: online while someone is attached, public, seq, acs, subcnt; unattached desc and own sub', async () => {
  const { o, us, name } = await h.room(1, { desc: { public: { fn: 'Room' } } });
  await o.t.publish(name, 'y');
  const r = await h.rawOf(us[0].c);
  const s = (await r.req('get', { topic: 'me', what: 'sub', sub: { topic: name } }, { meta: true })).sub[0];
  assert.equal(s.topic, name);
  assert.equal(s.online, true);
  assert.deepEqual(s.public, { fn: 'Room' });
  assert.equal(s.subcnt, 2);
  assert.ok(s.seq === 1 && s.acs.mode === 'JRWPS' && s.touched && s.updated);
  assert.equal(s.user, undefined);
  const d = (await r.req('get', { topic: name, what: 'desc' }, { meta: true })).desc;
  assert.deepEqual(d.public, { fn: 'Room' });
  assert.equal(d.acs.mode, 'JRWPS');
  const own = (await r.req('get', { topic: name, what: 'sub' }, { meta: true })).sub;
  assert.deepEqual(
    own.map(x => x.user),
    [us[0].c.uid],
  );
  for (const what of ['data', 'tags', 'aux', 'del']) assert.equal((await r.req('get', { topic: name, what })).code, 403, what);
});
T('group', 'a stranger may read desc (acs.mode = default access) but not members, history, tags, aux', async () => {
  const { name } = await h.room(0, { desc: { public: { fn: 'Room' } } });
  const r = await h.rawOf(await h.user({ me: false }));
  const d = (await r.req('get', { topic: name, what: 'desc' }, { meta: true })).desc;
  assert.deepEqual(d.public, { fn: 'Room' });
  assert.equal(d.acs.mode, 'JRWPS');
  assert.ok(d.created && !d.private && !d.defacs && d.seq === undefined);
  assert.equal((await r.req('get', { topic: name, what: 'sub' })).code, 404);
  for (const what of ['data', 'tags', 'aux', 'del']) assert.equal((await r.req('get', { topic: name, what })).code, 403, what);
  assert.equal((await r.req('pub', { topic: name, content: 'x' })).code, 409);
});
T('group', 'messages: from, seq, to all attached; detached members get {pres msg} with act', async () => {
  const { o, us, name } = await h.room(2);
  await us[1].t.leave(false);
  const [mo, m0, m1] = [o.mark(), us[0].c.mark(), us[1].c.mark()];
  const c = await us[0].t.publish('hello');
  assert.equal(c.params.seq, 1);
  for (const [x, m] of [
    [o, mo],
    [us[0].c, m0],
  ]) {
    const d = await x.data({}, m);
    assert.deepEqual([d.topic, d.from, d.seq, d.content], [name, us[0].c.uid, 1, 'hello']);
  }
  const p = await us[1].c.pres({ what: 'msg' }, m1);
  assert.deepEqual([p.topic, p.src, p.seq, p.act], ['me', name, 1, us[0].c.uid]);
  assert.ok(!us[1].c.since(m1).some(x => x.data));
});
T('group', 'a late joiner reads the history from before', async () => {
  const { o, g, name } = await h.room(0);
  for (let i = 1; i <= 3; i++) await g.publish('m' + i);
  const b = await h.user();
  const t = await h.join(b, name);
  await b.ctrl({ code: 208 });
  await h.sleep(50);
  assert.equal(t.messageCount(), 3);
  assert.equal(t.maxMsgSeq(), 3);
});
T('group', 'notes: read, recv and kp go to attached members and, on me with src, to detached ones', async () => {
  const { o, us, name } = await h.room(2);
  await o.t.publish(name, 'x');
  await us[0].c.data({ seq: 1 });
  await us[1].t.leave(false);
  const mo = o.mark(),
    m1 = us[1].c.mark();
  us[0].t.noteKeyPress();
  us[0].t.noteRead(1);
  for (const what of ['kp', 'read']) {
    const i = await o.info({ what }, mo);
    assert.deepEqual([i.topic, i.from, i.src], [name, us[0].c.uid, undefined]);
    const j = await us[1].c.info({ what }, m1);
    assert.deepEqual([j.topic, j.src, j.from], ['me', name, us[0].c.uid]);
  }
});
T('group', 'leave: others get {pres off}; own other session keeps it silent; again 304', async () => {
  const { o, us, name } = await h.room(1);
  const u2 = await h.again(us[0].c);
  const t2 = await h.join(u2, name);
  await h.sleep(100);
  let m = o.mark();
  assert.equal((await us[0].t.leave(false)).code, 200);
  await o.none(h.is.pres({ what: 'off', topic: name }), { m, ms: 300, what: 'off while another session stays' });
  const r = await h.rawOf(us[0].c);
  assert.equal((await r.req('leave', { topic: name })).code, 304);
  m = o.mark();
  await t2.leave(false);
  await o.pres({ what: 'off', topic: name, src: us[0].c.uid }, m);
  m = o.mark();
  await h.join(u2, name);
  await o.pres({ what: 'on', topic: name, src: us[0].c.uid }, m);
});
T('group', 'a closed connection counts as leaving', async () => {
  const { o, us, name } = await h.room(1);
  const m = o.mark();
  us[0].c.close();
  await o.pres({ what: 'off', topic: name, src: us[0].c.uid }, m);
});
T(
  'group',
  'unsubscribe: others get acs N/N and off, own other sessions are told, publishing is over, members shrink',
  async () => {
    const { o, us, name } = await h.room(1);
    const u = us[0].c;
    const att = await h.again(u);
    await h.join(att, name);
    const det = await h.again(u);
    await h.sleep(150);
    const mo = o.mark(),
      ma = att.mark(),
      md = det.mark();
    assert.equal((await us[0].t.leave(true)).code, 200);
    const p = await o.pres({ what: 'acs', topic: name, src: u.uid }, mo);
    assert.deepEqual(p.dacs, { want: 'N', given: 'N' });
    await o.pres({ what: 'off', topic: name, src: u.uid }, mo);
    const e = await att.ctrl({ code: 205, topic: name }, ma);
    assert.deepEqual([e.text, e.params.unsub], ['evicted', true]);
    await det.pres({ what: 'gone', topic: 'me', src: name }, md);
    assert.ok(!(u.uid in (await h.members(o, name))));
    await h.fails(att.t.publish(name, 'x'), 409);
    const r = await h.rawOf(u);
    const s = await r.req('get', { topic: 'me', what: 'sub', sub: { topic: name } }, { meta: true });
    assert.ok(s.code === 204 || !s.sub.some(x => x.topic === name && !x.deleted));
    assert.equal((await r.req('leave', { topic: name, unsub: true })).code, 409);
  },
);
T('group', 'the owner cannot unsubscribe (403)', async () => {
  const { o, g, name } = await h.room(1);
  await h.fails(g.leave(true), 403);
  assert.equal((await o.t.publish(name, 'still here')).code, 202);
});
T('group', 'kick: 205 evicted unsub:true and gone on me; others acs N/N and off; he may come back', async () => {
  const { o, g, us, name } = await h.room(2);
  const [k, w] = us;
  const mk = k.c.mark(),
    mw = w.c.mark();
  assert.equal((await g.delSubscription(k.c.uid)).code, 200);
  const e = await k.c.ctrl({ code: 205, topic: name }, mk);
  assert.deepEqual([e.text, e.id, e.params], ['evicted', undefined, { unsub: true }]);
  await k.c.pres({ what: 'gone', topic: 'me', src: name }, mk);
  const p = await w.c.pres({ what: 'acs', topic: name, src: k.c.uid }, mw);
  assert.deepEqual([p.act, p.dacs], [o.uid, { want: 'N', given: 'N' }]);
  await w.c.pres({ what: 'off', topic: name, src: k.c.uid }, mw);
  assert.ok(!(k.c.uid in (await h.members(o, name))));
  await h.join(k.c, name);
  assert.equal((await k.c.t.publish(name, 'back')).code, 202);
});
T('group', 'kick refused: by a member 403, of the owner 403, oneself 403; of a non-member 304', async () => {
  const { o, g, us, name } = await h.room(2);
  const z = await h.user();
  await h.fails(us[0].c.t.delSubscription(name, us[1].c.uid), 403);
  await g.setMeta({ sub: { user: us[0].c.uid, mode: 'JRWPAS' } });
  await us[0].t.setMeta({ sub: { mode: 'JRWPAS' } });
  await h.fails(us[0].c.t.delSubscription(name, o.uid), 403);
  await h.fails(o.t.delSubscription(name, o.uid), 403);
  const r = await h.rawOf(o);
  await r.req('sub', { topic: name });
  assert.equal((await r.req('del', { topic: name, what: 'sub', user: z.uid })).code, 304);
  await r.req('leave', { topic: name });
  assert.equal((await r.req('del', { topic: name, what: 'sub', user: us[1].c.uid })).code, 409, 'not attached');
});
T('group', 'delete by the owner: everybody gets {pres gone} on me; then 404', async () => {
  const { o, us, name } = await h.room(2);
  await us[1].t.leave(false);
  const o2 = await h.again(o);
  await h.sleep(100);
  const all = [us[0].c, us[1].c, o2].map(c => [c, c.mark()]);
  assert.equal((await o.t.delTopic(name, true)).code, 200);
  for (const [c, m] of all) await c.pres({ what: 'gone', topic: 'me', src: name }, m);
  const r = await h.rawOf(us[0].c);
  assert.equal((await r.req('sub', { topic: name })).code, 404);
  assert.equal((await r.req('get', { topic: name, what: 'desc' })).code, 404);
  assert.equal((await r.req('pub', { topic: name, content: 'x' })).code, 409);
  const s = await r.req('get', { topic: 'me', what: 'sub' }, { meta: true });
  assert.ok(s.code === 204 || !s.sub.some(x => x.topic === name && !x.deleted));
});
T('group', '{del topic} by a member only unsubscribes him; by a stranger it does nothing (304)', async () => {
  const { o, us, name } = await h.room(1);
  const m = o.mark();
  assert.equal((await us[0].c.t.delTopic(name, true)).code, 200);
  await o.pres({ what: 'acs', topic: name, src: us[0].c.uid }, m);
  const r = await h.rawOf(await h.user({ me: false }));
  assert.equal((await r.req('del', { topic: name, what: 'topic', hard: true })).code, 304);
  assert.equal((await o.t.publish(name, 'alive')).code, 202);
});
T('group', '{set} of several parts answers each with the same id, in the order desc, sub, tags, aux', async () => {
  const { o, name } = await h.room(0);
  const r = await h.rawOf(o);
  await r.req('sub', { topic: name });
  const m = r.mark();
  r.send({
    set: {
      id: 'multi',
      topic: name,
      desc: { public: { fn: 'M' } },
      sub: { mode: 'JRWPASDO' },
      tags: [h.uniq('mt')],
      aux: { z: 1 },
    },
  });
  await h.sleep(400);
  const c = r
    .since(m)
    .filter(p => p.ctrl && p.ctrl.id === 'multi')
    .map(p => p.ctrl);
  assert.deepEqual(
    c.map(x => x.code),
    [200, 304, 200, 200],
  );
  assert.equal(c[2].params.added, 1);
  assert.equal((await r.req('set', { topic: name })).code, 400, 'nothing to set');
  assert.equal((await r.req('set', { topic: name, cred: { meth: 'email', val: 'x@example.com' } })).code, 405);
});
T(
  'group',
  'subscriber limit: one more is refused (422) and nothing changes',
  async t => {
    const o = await h.user();
    const max = o.hi.params.maxSubscriberCount;
    if (max > 40) return t.skip(`maxSubscriberCount is ${max}: too many accounts to make`);
    const g = await h.group(o);
    for (let i = 1; i < max; i++) await h.join(await h.user({ me: false }), g.name);
    const z = await h.user();
    await h.fails(z.t.subscribe(g.name), 422);
    await h.fails(g.invite(z.uid, 'JR'), 422);
    assert.equal(Object.keys(await h.members(o, g.name)).length, max);
  },
  { timeout: 60000 },
);
T('group', "ids: a bare id is taken for one of this server's; answers carry the permanent id", async () => {
  const { o, name } = await h.room(0);
  const r = await h.rawOf(await h.user({ me: false }));
  const c = await r.req('sub', { topic: h.bare(name) });
  assert.deepEqual([c.code, c.topic], [200, name]);
  assert.equal((await r.req('sub', { topic: name })).code, 304, 'the same topic');
  const p = await r.req('pub', { topic: h.bare(name), content: 'x' });
  assert.deepEqual([p.code, p.topic], [202, name]);
  assert.equal((await o.data({ seq: 1 })).topic, name);
});
T('group', '40 messages of 4 senders: one gapless order for everybody', async () => {
  const { o, us, name } = await h.room(3);
  const N = 10,
    all = [o, ...us.map(u => u.c)];
  await Promise.all(all.flatMap((c, k) => [...Array(N)].map((_, i) => c.t.publish(name, `${k}-${i}`))));
  const want = 4 * N;
  for (const c of all) await c.data({ seq: want }, 0, 8000);
  await h.sleep(100);
  const logs = all.map(c => JSON.stringify(c.log.filter(p => p.data).map(p => [p.data.seq, p.data.from, p.data.content])));
  assert.equal(new Set(logs).size, 1);
  const l = JSON.parse(logs[0]);
  assert.deepEqual(
    l.map(x => x[0]),
    [...Array(want)].map((_, i) => i + 1),
  );
  for (let k = 0; k < 4; k++)
    assert.deepEqual(
      l.filter(x => x[2].startsWith(k + '-')).map(x => x[2]),
      [...Array(N)].map((_, i) => `${k}-${i}`),
    );
});
