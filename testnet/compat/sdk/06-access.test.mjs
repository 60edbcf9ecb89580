import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;
const give = (g, user, mode) => g.setMeta({ sub: { user, mode } });
const want = (t, mode) => t.setMeta({ sub: { mode } });
const acs = r => {
  const a = r.params.acs;
  return a.getMode ? [a.getWant(), a.getGiven(), a.getMode()] : [a.want, a.given, a.mode];
};
const modeOf = async (c, name, uid) => {
  const a = (await h.members(c, name))[uid].acs;
  return [a.getWant(), a.getGiven(), a.getMode()];
};

T(
  'invite',
  'member appears with default modes; he gets {pres acs} and {pres on} on me, the others {pres acs} with src and act',
  async () => {
    const { o, g, us, name } = await h.room(1);
    const z = await h.user();
    const mz = z.mark(),
      mu = us[0].c.mark();
    const r = await g.invite(z.uid);
    assert.deepEqual([r.code, r.params.user, ...acs(r)], [200, z.uid, 'JRWPS', 'JRWPS', 'JRWPS']);
    const p = await z.pres({ what: 'acs', topic: 'me', src: name }, mz);
    assert.deepEqual([p.act, p.dacs], [o.uid, { want: 'JRWPS', given: 'JRWPS' }]);
    await z.pres({ what: 'on', topic: 'me', src: name }, mz);
    const q = await us[0].c.pres({ what: 'acs', topic: name, src: z.uid }, mu);
    assert.deepEqual([q.act, q.dacs], [o.uid, { want: 'JRWPS', given: 'JRWPS' }]);
    const s = (await h.members(o, name))[z.uid];
    assert.ok(!s.online);
  },
);
T(
  'invite',
  'the invited one sees the group on me and gets {pres msg} before ever attaching; attaching is then without acs',
  async () => {
    const { o, g, name } = await h.room(0, { desc: { public: { fn: 'Club' } } });
    const z = await h.user();
    await g.invite(z.uid, 'JRWP');
    const m = z.mark();
    await o.t.publish(name, 'welcome');
    const p = await z.pres({ what: 'msg', src: name }, m);
    assert.deepEqual([p.seq, p.act], [1, o.uid]);
    const r = await h.rawOf(z);
    const s = (await r.req('get', { topic: 'me', what: 'sub', sub: { topic: name } }, { meta: true })).sub[0];
    assert.deepEqual([s.public, s.acs, s.seq], [{ fn: 'Club' }, { want: 'JRWP', given: 'JRWP', mode: 'JRWP' }, 1]);
    const c = await r.req('sub', { topic: name });
    assert.deepEqual([c.code, c.params], [200, undefined]);
  },
);
T('invite', 'a member with S may invite with default modes, not with chosen ones (403); without S not at all (403)', async () => {
  const { g, us, name } = await h.room(2);
  const [z, y] = await Promise.all([h.user(), h.user()]);
  const r = await us[0].c.t.setMeta(name, { sub: { user: z.uid } });
  assert.deepEqual(acs(r), ['JRWPS', 'JRWPS', 'JRWPS']);
  await h.fails(us[0].c.t.setMeta(name, { sub: { user: y.uid, mode: 'JRW' } }), 403);
  await give(g, us[1].c.uid, 'JRWP');
  await h.fails(us[1].c.t.setMeta(name, { sub: { user: y.uid } }), 403);
});
T('invite', 'an admin may choose modes, but not give O (403)', async () => {
  const { g, us, name } = await h.room(1);
  const [z, y] = await Promise.all([h.user(), h.user()]);
  const a = us[0];
  await give(g, a.c.uid, 'JRWPAS');
  await want(a.t, 'JRWPAS');
  assert.deepEqual(acs(await a.t.invite(z.uid, 'JR')), ['JR', 'JR', 'JR']);
  await h.fails(a.t.invite(y.uid, 'JRWPASDO'), 403);
});
T('invite', 'unknown or malformed user: 400 or 404', async () => {
  const { g } = await h.room(0);
  for (const u of ['usrAAAAAAAAAAB', 'xyz', 'usrZZ'])
    await assert.rejects(g.invite(u, 'JR'), e => [400, 404].includes(e.code), u);
});
T('invite', 'inviting a member again with the same mode changes nothing', async () => {
  const { o, g, us, name } = await h.room(1);
  const r = await g.invite(us[0].c.uid, 'JRWPS').catch(e => e);
  assert.ok([200, 304].includes(r.code));
  assert.deepEqual(await modeOf(o, name, us[0].c.uid), ['JRWPS', 'JRWPS', 'JRWPS']);
});
T('approval', 'default access J only: joins with nothing, A-holders are told what he wants, one approves', async () => {
  const { o, g, name } = await h.room(0, { desc: { public: { fn: 'X' }, defacs: { auth: 'J', anon: 'N' } } });
  const o2 = await h.again(o);
  await h.sleep(100);
  const m2 = o2.mark(),
    mo = o.mark();
  const z = await h.user();
  const t = await h.join(z, name, 'JRWPS');
  assert.deepEqual([t.acs.getGiven(), t.acs.getMode()], ['J', 'J']);
  await o.pres({ what: 'acs', topic: name, src: z.uid }, mo);
  const p = await o2.pres({ what: 'acs', topic: 'me', src: name }, m2);
  assert.deepEqual([p.tgt, p.dacs], [z.uid, { want: 'JRWPS', given: 'J' }]);
  await h.fails(z.t.publish(name, 'x'), 403);
  await h.fails(z.t.getMeta(name, { what: 'data' }), 403);
  const m = z.mark();
  assert.deepEqual(acs(await give(g, z.uid, 'JRWPS')), ['JRWPS', 'JRWPS', 'JRWPS']);
  const q = await z.pres({ what: 'acs', topic: name }, m);
  assert.deepEqual([q.src, q.act, q.dacs], [undefined, undefined, { given: '+RWPS' }]);
  assert.equal((await z.t.publish(name, 'x')).code, 202);
});
T('approval', 'default access N: {sub} 403; after an invitation it works', async () => {
  const { g, name } = await h.room(0, { desc: { public: { fn: 'X' }, defacs: { auth: 'N', anon: 'N' } } });
  const z = await h.user();
  await h.fails(z.t.subscribe(name), 403);
  await g.invite(z.uid, 'JRW');
  await h.settle();
  await h.join(z, name, 'JRW');
  assert.equal((await z.t.publish(name, 'x')).code, 202);
});
T(
  'modes',
  'admin changes given: ctrl acs and user; target gets {pres acs} without src, others with src and act; dacs is the delta',
  async () => {
    const { o, g, us, name } = await h.room(2);
    const [t, w] = us;
    const mt = t.c.mark(),
      mw = w.c.mark();
    const r = await give(g, t.c.uid, 'JRWPA');
    assert.deepEqual([r.params.user, ...acs(r)], [t.c.uid, 'JRWPS', 'JRWPA', 'JRWP']);
    const p = await t.c.pres({ what: 'acs', topic: name }, mt);
    assert.deepEqual([p.src, p.act, p.tgt, p.dacs], [undefined, undefined, undefined, { given: '+A-S' }]);
    const q = await w.c.pres({ what: 'acs', topic: name, src: t.c.uid }, mw);
    assert.deepEqual([q.act, q.dacs], [o.uid, { given: '+A-S' }]);
    await h.sleep(50);
    assert.equal(t.t.acs.getGiven(), 'JRWPA', 'the SDK has applied the delta');
    assert.deepEqual(await modeOf(w.c, name, t.c.uid), ['JRWPS', 'JRWPA', 'JRWP']);
  },
);
T('modes', 'target not attached is told on me, with act', async () => {
  const { o, g, us, name } = await h.room(1);
  await us[0].t.leave(false);
  const m = us[0].c.mark();
  await give(g, us[0].c.uid, 'JRP');
  const p = await us[0].c.pres({ what: 'acs', topic: 'me', src: name }, m);
  assert.deepEqual([p.act, p.dacs], [o.uid, { given: '-WS' }]);
});
T(
  'modes',
  'own change: ctrl acs without user; other members src without act; own other sessions attached and on me',
  async () => {
    const { o, us, name } = await h.room(1);
    const [u] = us;
    const a = await h.again(u.c);
    await h.join(a, name);
    const d = await h.again(u.c);
    await h.sleep(150);
    const mo = o.mark(),
      ma = a.mark(),
      md = d.mark();
    const r = await want(u.t, 'JRWP');
    assert.deepEqual([r.params.user, ...acs(r)], [undefined, 'JRWP', 'JRWPS', 'JRWP']);
    const p = await o.pres({ what: 'acs', topic: name, src: u.c.uid }, mo);
    assert.deepEqual([p.act, p.dacs], [undefined, { want: '-S' }]);
    const q = await a.pres({ what: 'acs', topic: name }, ma);
    assert.deepEqual([q.src, q.dacs], [undefined, { want: '-S' }]);
    const s = await d.pres({ what: 'acs', topic: 'me', src: name }, md);
    assert.deepEqual(s.dacs, { want: '-S' });
  },
);
T('modes', 'unchanged own mode is 304; unknown letters 400', async () => {
  const { g, us, name } = await h.room(1);
  const r = await h.rawOf(us[0].c);
  await r.req('sub', { topic: name });
  assert.equal((await r.req('set', { topic: name, sub: { mode: 'JRWPS' } })).code, 304);
  assert.equal((await r.req('set', { topic: name, sub: { mode: 'JQX' } })).code, 400);
  await h.fails(give(g, us[0].c.uid, 'zzz9'), 400);
});
T('modes', 'letters in any order', async () => {
  const { g, us } = await h.room(1);
  assert.deepEqual(acs(await give(g, us[0].c.uid, 'PWRJ')), ['JRWPS', 'JRWP', 'JRWP']);
});
T('modes', 'relative changes (+R-P): refused whole (400), or applied', async () => {
  const { o, g, us, name } = await h.room(1);
  const u = us[0];
  const r = await give(g, u.c.uid, '+A-S').catch(e => e);
  if (r.code === 400) return assert.deepEqual(await modeOf(o, name, u.c.uid), ['JRWPS', 'JRWPS', 'JRWPS']);
  assert.deepEqual(acs(r), ['JRWPS', 'JRWPA', 'JRWP']);
  await h.settle();
  assert.deepEqual(acs(await want(u.t, '+A-P')), ['JRWAS', 'JRWPA', 'JRWA']);
  assert.equal((await want(u.t, '+A')).code, 304);
  await h.fails(want(u.t, '+Q'), 400);
});
T('modes', "the SDK's updateMode (relative on its side) works", async () => {
  const { o, g, us, name } = await h.room(1);
  const u = us[0];
  await o.t.getMeta(name, { what: 'sub' });
  await h.sleep(30);
  await g.updateMode(u.c.uid, '-W');
  assert.deepEqual(await modeOf(o, name, u.c.uid), ['JRWPS', 'JRPS', 'JRPS']);
  await h.settle();
  await u.t.updateMode(null, '-S');
  await h.settle();
  assert.deepEqual(await modeOf(o, name, u.c.uid), ['JRWP', 'JRPS', 'JRP']);
});
T('modes', 'members without A cannot change others (403); nobody but the owner himself changes the owner', async () => {
  const { o, g, us, name } = await h.room(2);
  const [a, b] = us;
  await h.fails(give(a.t, b.c.uid, 'JR'), 403);
  await give(g, a.c.uid, 'JRWPASD');
  await want(a.t, 'JRWPASD');
  await h.fails(give(a.t, o.uid, 'JR'), 403);
  assert.deepEqual(acs(await give(a.t, b.c.uid, 'JR')), ['JRWPS', 'JR', 'JR'], 'an admin may');
  await h.fails(give(a.t, b.c.uid, 'JRO'), 403);
});
T('modes', 'wanting O without having been given it is 403', async () => {
  const { us } = await h.room(1);
  await h.fails(want(us[0].t, 'JRWPASDO'), 403);
});
T(
  'permission R',
  'without: no data live, history 403, deleting 403, read notes ignored; desc without seq; writing still works',
  async () => {
    const { o, g, us, name } = await h.room(1);
    const u = us[0];
    await g.publish('before');
    await u.c.data({ seq: 1 });
    await give(g, u.c.uid, 'JWPS');
    const m = u.c.mark(),
      mo = o.mark();
    await g.publish('secret');
    await u.c.none(h.is.data({}), { m, ms: 250 });
    await h.fails(u.c.t.getMeta(name, { what: 'data' }), 403);
    await h.fails(u.c.t.delMessages(name, [{ low: 1 }], false), 403);
    u.c.t.note(name, 'read', 1);
    await o.none(h.is.info({ what: 'read' }), { m: mo, ms: 200 });
    const r = await h.rawOf(u.c);
    await r.req('sub', { topic: name });
    const d = (await r.req('get', { topic: name, what: 'desc' }, { meta: true })).desc;
    assert.deepEqual([d.seq, d.acs.mode], [undefined, 'JWPS']);
    assert.equal((await u.c.t.publish(name, 'blind')).code, 202);
  },
);
T('permission W', 'without: publishing 403, typing not relayed; reading and receipts still work', async () => {
  const { o, g, us, name } = await h.room(1);
  const u = us[0];
  await give(g, u.c.uid, 'JRPS');
  await g.publish('x');
  await u.c.data({ seq: 1 });
  await h.fails(u.c.t.publish(name, 'no'), 403);
  const mo = o.mark();
  u.t.noteKeyPress();
  u.t.noteRead(1);
  await o.info({ what: 'read', from: u.c.uid }, mo);
  assert.ok(!o.since(mo).some(h.is.info({ what: 'kp' })));
  assert.equal((await h.part(u.c, name, 'desc')).seq, 1);
});
T(
  'permission P',
  'without: {pres off} for the group, then neither on, off, msg nor del; messages still come when attached; P again: {pres on}',
  async () => {
    const { o, g, us, name } = await h.room(2);
    const [u, w] = us;
    let m = u.c.mark();
    await want(u.t, 'JRWS');
    await u.c.pres({ what: 'off', topic: 'me', src: name }, m);
    await h.sleep(50);
    m = u.c.mark();
    await w.t.leave(false);
    await h.join(w.c, name);
    await g.setMeta({ desc: { public: { fn: 'Q' } } });
    await g.publish('x');
    await u.c.data({ content: 'x' }, m);
    await u.t.leave(false);
    await o.t.publish(name, 'y');
    await u.c.none(p => p.pres && !['acs', 'upd'].includes(p.pres.what), { m, ms: 300 });
    m = u.c.mark();
    await u.c.t.setMeta(name, { sub: { mode: 'JRWPS' } });
    await h.join(u.c, name);
    await h.settle();
    assert.deepEqual(await modeOf(o, name, u.c.uid), ['JRWPS', 'JRWPS', 'JRWPS']);
  },
);
T(
  'permission J',
  'taken: 205 evicted unsub:false, {sub} 403, still a member; given back: {pres acs} on me, attach works',
  async () => {
    const { o, g, us, name } = await h.room(1);
    const u = us[0];
    let m = u.c.mark();
    assert.deepEqual(acs(await give(g, u.c.uid, 'RWPS')), ['JRWPS', 'RWPS', 'RWPS']);
    const e = await u.c.ctrl({ code: 205, topic: name }, m);
    assert.deepEqual([e.id, e.params], [undefined, { unsub: false }]);
    await h.sleep(50);
    assert.ok(!u.t.isSubscribed());
    await h.fails(u.c.t.subscribe(name), 403);
    assert.ok(u.c.uid in (await h.members(o, name)));
    m = u.c.mark();
    await give(g, u.c.uid, 'JRWPS');
    const p = await u.c.pres({ what: 'acs', topic: 'me', src: name }, m);
    assert.deepEqual([p.act, p.dacs], [o.uid, { given: '+J' }]);
    assert.equal((await u.c.t.subscribe(name)).code, 200);
  },
);
T(
  'permission D',
  'without: hard delete becomes soft; with: it is for all, attached get {pres del} with clear and delseq, detached on me only clear',
  async () => {
    const { o, g, us, name } = await h.room(2);
    const [u, w] = us;
    for (let i = 1; i <= 4; i++) await g.publish('m' + i);
    await u.c.data({ seq: 4 });
    const seen = async c => {
      const m = c.mark();
      await c.t.getMeta(name, { what: 'data' });
      return c
        .since(m)
        .filter(p => p.data)
        .map(p => p.data.seq);
    };
    assert.equal((await u.t.delMessages([{ low: 1 }], true)).code, 200);
    assert.deepEqual(
      [await seen(u.c), await seen(o)],
      [
        [4, 3, 2],
        [4, 3, 2, 1],
      ],
    );
    await give(g, u.c.uid, 'JRWPSD');
    await want(u.t, 'JRWPSD');
    await w.t.leave(false);
    await h.sleep(50);
    const mo = o.mark(),
      mw = w.c.mark();
    assert.equal((await u.t.delMessages([{ low: 2, hi: 4 }], true)).code, 200);
    const p = await o.pres({ what: 'del', topic: name }, mo);
    assert.deepEqual([p.src, p.delseq], [u.c.uid, [{ low: 2, hi: 4 }]]);
    assert.ok(p.clear > 0);
    const q = await w.c.pres({ what: 'del', topic: 'me', src: name }, mw);
    assert.deepEqual([q.clear, q.delseq], [p.clear, undefined]);
    assert.deepEqual([await seen(u.c), await seen(o)], [[4], [4, 1]]);
  },
);
T('permission A', 'given and wanted: may approve, kick and ban, set aux; may not tags, public, defacs', async () => {
  const { g, us, name } = await h.room(2);
  const [a, b] = us;
  await h.fails(give(a.t, b.c.uid, 'JR'), 403);
  await give(g, a.c.uid, 'JRWPAS');
  await h.fails(give(a.t, b.c.uid, 'JR'), 403); // given but not wanted
  await h.settle();
  await want(a.t, 'JRWPAS');
  await h.settle();
  assert.equal((await give(a.t, b.c.uid, 'JR')).code, 200);
  assert.equal((await a.t.setMeta({ aux: { pins: [1] } })).code, 200);
  for (const q of [{ tags: ['zz'] }, { desc: { public: { fn: 'z' } } }, { desc: { defacs: { auth: 'JR' } } }])
    await h.fails(a.t.setMeta(q), 403);
  assert.equal((await a.c.t.delSubscription(name, b.c.uid)).code, 200);
});
T(
  'ban',
  'given N: 205 evicted unsub:false, {pres acs}, {pres off} on me; cannot attach (403); stays in the list with given N',
  async () => {
    const { o, g, us, name } = await h.room(2);
    const [b, w] = us;
    const m = b.c.mark(),
      mw = w.c.mark();
    assert.deepEqual(acs(await give(g, b.c.uid, 'N')), ['JRWPS', 'N', 'N']);
    await b.c.pres({ what: 'acs', topic: name }, m);
    const e = await b.c.ctrl({ code: 205, topic: name }, m);
    assert.deepEqual([e.text, e.params], ['evicted', { unsub: false }]);
    await b.c.pres({ what: 'off', topic: 'me', src: name }, m);
    const p = await w.c.pres({ what: 'acs', topic: name, src: b.c.uid }, mw);
    assert.deepEqual([p.act, p.dacs], [o.uid, { given: '-JRWPS' }]);
    await h.fails(b.c.t.subscribe(name), 403);
    await h.fails(b.c.t.publish(name, 'x'), 409);
    assert.deepEqual(await modeOf(o, name, b.c.uid), ['JRWPS', 'N', 'N']);
  },
);
T('ban', 'a banned member gets neither {pres msg} nor data; his me shows acs without seq', async () => {
  const { g, us, name } = await h.room(1);
  const b = us[0];
  await give(g, b.c.uid, 'N');
  await h.sleep(100);
  const m = b.c.mark();
  await g.publish('secret');
  await b.c.none(p => (p.pres && p.pres.what === 'msg') || p.data, { m, ms: 300 });
  const r = await h.rawOf(b.c);
  const s = (await r.req('get', { topic: 'me', what: 'sub', sub: { topic: name } }, { meta: true })).sub[0];
  assert.deepEqual([s.acs.mode, s.seq, s.online], ['N', undefined, undefined]);
});
T('ban', 'lifted: {pres acs} on me with full modes, {pres on}; history of the meantime is readable', async () => {
  const { o, g, us, name } = await h.room(1);
  const b = us[0];
  await give(g, b.c.uid, 'N');
  await h.sleep(100);
  await g.publish('meanwhile');
  const m = b.c.mark();
  await give(g, b.c.uid, 'JRWPS');
  const p = await b.c.pres({ what: 'acs', topic: 'me', src: name }, m);
  assert.deepEqual([p.act, p.dacs], [o.uid, { given: 'JRWPS' }]);
  await b.c.pres({ what: 'on', topic: 'me', src: name }, m);
  await b.c.t.subscribe(name, { what: 'data' });
  await b.c.data({ content: 'meanwhile' }, m);
});
T('ban', 'leaving does not lift it: {del sub} by himself or a new {sub} stays 403', async () => {
  const { g, us, name } = await h.room(1);
  const b = us[0];
  await give(g, b.c.uid, 'N');
  await h.sleep(50);
  await b.c.t.delTopic(name, true).catch(() => {});
  await h.fails(b.c.t.subscribe(name), 403);
});
T('ban', 'a kicked member who was restricted comes back as restricted', async () => {
  const { g, us, name } = await h.room(1);
  const b = us[0];
  await give(g, b.c.uid, 'JRP');
  await g.delSubscription(b.c.uid);
  await h.sleep(50);
  assert.equal((await h.join(b.c, name)).acs.getGiven(), 'JRP');
});
T('ownership', 'transfer: offered by the owner, takes effect when the other wants O; old owner loses just O', async () => {
  const { o, g, us, name } = await h.room(2);
  const [n, w] = us;
  const r = await give(g, n.c.uid, 'JRWPASDO');
  assert.deepEqual(acs(r), ['JRWPS', 'JRWPASDO', 'JRWPS']);
  assert.deepEqual(await modeOf(w.c, name, o.uid), ['JRWPASDO', 'JRWPASDO', 'JRWPASDO'], 'nothing happened yet');
  const mo = o.mark(),
    mw = w.c.mark(),
    mn = n.c.mark();
  assert.deepEqual(acs(await want(n.t, 'JRWPASDO')), ['JRWPASDO', 'JRWPASDO', 'JRWPASDO']);
  const p = await o.wait(q => q.pres && q.pres.what === 'acs' && q.pres.topic === name && !q.pres.src, { m: mo });
  assert.deepEqual(p.pres.dacs, { want: '-O', given: '-O' });
  const a = await w.c.pres({ what: 'acs', topic: name, src: o.uid }, mw);
  assert.deepEqual([a.act, a.dacs], [n.c.uid, { want: '-O', given: '-O' }]);
  await w.c.pres({ what: 'acs', topic: name, src: n.c.uid }, mw);
  const b = await n.c.pres({ what: 'acs', topic: name, src: o.uid }, mn);
  assert.deepEqual(b.dacs, { want: '-O', given: '-O' }, 'the new owner is told, too');
  assert.deepEqual(await modeOf(w.c, name, o.uid), ['JRWPASD', 'JRWPASD', 'JRWPASD']);
  await h.fails(g.setMeta({ desc: { public: { fn: 'old' } } }), 403);
  assert.equal((await n.t.setMeta({ desc: { public: { fn: 'new' } } })).code, 200);
  assert.equal((await g.leave(true)).code, 200, 'the old owner may go');
  await h.fails(n.t.leave(true), 403);
});
T('ownership', 'the owner cannot give up O by himself (403); another cannot offer it', async () => {
  const { g, us } = await h.room(2);
  await h.fails(want(g, 'JRWPASD'), 403);
  await give(g, us[0].c.uid, 'JRWPASD');
  await want(us[0].t, 'JRWPASD');
  await h.fails(give(us[0].t, us[1].c.uid, 'JRWPASDO'), 403);
});
T('ownership', 'can be offered to somebody who is not yet a member', async () => {
  const { g, name } = await h.room(0);
  const z = await h.user();
  const r = await give(g, z.uid, 'JRWPASDO');
  assert.match(acs(r)[1], /O/);
  assert.doesNotMatch(acs(r)[2], /O/);
  const t = await h.join(z, name);
  await want(t, 'JRWPASDO');
  assert.ok((await h.part(z, name, 'desc')).acs.isOwner ? t.acs.isOwner() : true);
  assert.equal((await t.setMeta({ desc: { public: { fn: 'mine' } } })).code, 200);
});
T('ownership', "old owner's detached sessions learn on me", async () => {
  const { o, g, us, name } = await h.room(1);
  const o2 = await h.again(o);
  await give(g, us[0].c.uid, 'JRWPASDO');
  await h.sleep(50);
  const m = o2.mark();
  await want(us[0].t, 'JRWPASDO');
  const p = await o2.wait(q => q.pres && q.pres.what === 'acs' && q.pres.src === name && !q.pres.tgt, { m });
  assert.deepEqual([p.pres.act, p.pres.dacs], [us[0].c.uid, { want: '-O', given: '-O' }]);
});
T('access', "anonymous users get the group's anon default; with N they are refused", async () => {
  const { name } = await h.room(0, { desc: { public: { fn: 'x' }, defacs: { auth: 'JRWPS', anon: 'JRW' } } });
  const shut = await h.room(0);
  const c = await h.connect();
  await c.t.createAccount('anonymous', null, true, { public: { fn: 'Guest' } });
  assert.equal((await h.join(c, name)).acs.getMode(), 'JRW');
  assert.equal((await c.t.publish(name, 'hello')).code, 202);
  await h.fails(c.t.subscribe(shut.name), 403);
});
T(
  'access',
  'no third user can be brought into a conversation of two',
  async () => {
    const { a, ta } = await h.pair();
    const z = await h.user();
    await assert.rejects(ta.setMeta({ sub: { user: z.uid, mode: 'JRW' } }), e => e.code >= 400);
    assert.equal(Object.keys(await h.members(a, ta.name)).length, 2);
  },
  { strict: true },
);
T('access', 'in P2P a peer cannot be removed ({del sub} 403), nor O be wanted (403); S is dropped, A forced', async () => {
  const { a, b, ta } = await h.pair();
  await h.fails(a.t.delSubscription(b.uid, b.uid), 403);
  await h.fails(want(ta, 'JRWPASDO'), 403);
  assert.equal(acs(await want(ta, 'JRWS'))[0], 'JRWA');
});
