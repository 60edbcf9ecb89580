import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;
// A channel with its owner o (attached), and n readers attached: { o, g, grp, chn, rs: [{c, t}] }.
async function channel(n = 1, setp) {
  const [o, ...cs] = await Promise.all([...Array(n + 1)].map(() => h.user()));
  const g = await h.group(o, setp, true);
  const chn = h.chn(g.name);
  const rs = [];
  for (const c of cs) rs.push({ c, t: await h.join(c, chn) });
  await h.sleep(100);
  return { o, g, grp: g.name, chn, rs };
}

T('channel', 'create (nch): grp name, desc.chan, default access without J', async () => {
  const { g, o } = await channel(0);
  assert.match(g.name, h.GROUP);
  const r = await h.rawOf(o);
  await r.req('sub', { topic: g.name });
  const d = (await r.req('get', { topic: g.name, what: 'desc' }, { meta: true })).desc;
  assert.equal(d.chan, true);
  assert.equal(d.acs.mode, 'JRWPASDO');
  assert.doesNotMatch(d.defacs.auth, /J/);
  assert.equal(d.defacs.anon, 'N');
  assert.ok(h.Tinode.isChannelTopicName(h.chn(g.name)));
});
T('channel', 'reader joins under chn…: acs JRP; desc has chan, no defacs', async () => {
  const { chn } = await channel(0, { desc: { public: { fn: 'News' } } });
  const c = await h.user();
  const m = c.mark();
  await c.t.subscribe(chn, { what: 'desc' });
  const k = await c.ctrl({ code: 200, topic: chn }, m);
  assert.deepEqual(k.params.acs, { want: 'JRP', given: 'JRP', mode: 'JRP' });
  const d = (await c.wait(h.is.meta({ topic: chn }), { m })).meta.desc;
  assert.deepEqual([d.chan, d.public, d.acs.mode, d.defacs], [true, { fn: 'News' }, 'JRP', undefined]);
});
T('channel', 'a stranger can read desc under chn…, but not join under grp… (403)', async () => {
  const { grp, chn } = await channel(0, { desc: { public: { fn: 'News' } } });
  const c = await h.user();
  const r = await h.rawOf(c);
  const d = await r.req('get', { topic: chn, what: 'desc' }, { meta: true });
  assert.deepEqual([d.topic, d.desc.public, d.desc.chan], [chn, { fn: 'News' }, true]);
  assert.equal((await r.req('sub', { topic: grp })).code, 403);
});
T('channel', 'chn… of a plain group is refused (404)', async () => {
  const { name } = await h.room(0);
  const c = await h.user();
  await h.fails(c.t.subscribe(h.chn(name)), 404);
});
T('channel', 'messages: readers get them under chn… without from; members with from', async () => {
  const { o, g, grp, chn, rs } = await channel(2);
  const w = await h.user();
  await g.invite(w.uid, 'JRWPS');
  await h.settle();
  await h.join(w, grp, 'JRWPS');
  const c = await g.publish('news');
  assert.equal(c.params.seq, 1);
  const d = await w.data({ seq: 1 });
  assert.deepEqual([d.topic, d.from], [grp, o.uid]);
  for (const r of rs) {
    const e = await r.c.data({ seq: 1 });
    assert.deepEqual([e.topic, e.from, e.content], [chn, undefined, 'news']);
  }
  await w.t.publish(grp, 'by a member');
  for (const r of rs) assert.equal((await r.c.data({ seq: 2 })).from, undefined);
});
T('channel', 'history for readers has no from, heads are kept', async () => {
  const { g, chn } = await channel(0);
  const p = g.createMessage('x');
  p.head = { mime: 'text/x-drafty', 'x-k': 1 };
  await g.publishMessage(p);
  await g.publish('y');
  const c = await h.user();
  await h.join(c, chn);
  await c.ctrl({ code: 208 });
  const ds = c.log.filter(q => q.data).map(q => q.data);
  assert.deepEqual(
    ds.map(d => [d.topic, d.from, d.seq]),
    [
      [chn, undefined, 2],
      [chn, undefined, 1],
    ],
  );
  assert.deepEqual(ds[1].head, { mime: 'text/x-drafty', 'x-k': 1 });
});
T('channel', 'readers cannot publish (403), nor invite (403), nor delete for all', async () => {
  const { o, g, chn, rs } = await channel(1);
  const r = rs[0];
  await g.publish('x');
  await r.c.data({ seq: 1 });
  await h.fails(r.c.t.publish(chn, 'me too'), 403);
  await h.fails(r.t.setMeta({ sub: { user: (await h.user()).uid } }), 403);
  await r.c.t.delMessages(chn, [{ low: 1 }], true).catch(() => {});
  const m = o.mark();
  await o.t.getMeta(g.name, { what: 'data' });
  assert.equal(o.since(m).filter(p => p.data).length, 1);
});
T('channel', 'readers cannot change public, defacs, tags, aux (403); aux they can read', async () => {
  const { g, chn, rs } = await channel(1);
  const r = rs[0];
  for (const q of [
    { desc: { public: { fn: 'z' } } },
    { desc: { defacs: { auth: 'J' } } },
    { tags: ['zz'] },
    { aux: { pins: [1] } },
  ])
    await h.fails(r.t.setMeta(q), 403);
  await g.setMeta({ aux: { pins: [1] } });
  await h.settle();
  assert.deepEqual(await h.part(r.c, chn, 'aux'), { pins: [1] });
  await h.fails(r.c.t.getMeta(chn, { what: 'tags' }), 403);
});
T('channel', 'a reader sees only himself in {get sub}; members never see readers', async () => {
  const { o, grp, chn, rs } = await channel(2);
  assert.deepEqual(Object.keys(await h.members(rs[0].c, chn)), [rs[0].c.uid]);
  assert.deepEqual(Object.keys(await h.members(o, grp)), [o.uid]);
});
T('channel', 'subcnt counts the readers', async () => {
  const { o, grp, chn } = await channel(2);
  const z = await h.user();
  const r = await h.rawOf(z);
  const n = (await r.req('get', { topic: chn, what: 'desc' }, { meta: true })).desc.subcnt;
  assert.equal(n, 3);
  await h.join(z, chn);
  await h.sleep(50);
  const q = await h.rawOf(await h.user());
  assert.equal((await q.req('get', { topic: chn, what: 'desc' }, { meta: true })).desc.subcnt, 4);
  void o;
  void grp;
});
T('channel', 'readers joining, leaving and unsubscribing make no {pres on} or {pres off} for anybody', async () => {
  const { o, chn, rs } = await channel(1);
  const w = rs[0];
  const mo = o.mark(),
    mw = w.c.mark();
  const z = await h.user();
  const t = await h.join(z, chn);
  await t.leave(false);
  await h.join(z, chn);
  await t.leave(true);
  await h.sleep(300);
  for (const [c, m] of [
    [o, mo],
    [w.c, mw],
  ])
    assert.ok(!c.since(m).some(p => p.pres && ['on', 'off'].includes(p.pres.what) && p.pres.src === z.uid));
});
T(
  'channel',
  'readers get no presence of members',
  async () => {
    const { g, grp, rs } = await channel(1);
    const r = rs[0];
    const m = r.c.mark();
    const w = await h.user();
    await g.invite(w.uid, 'JRWPS');
    const t = await h.join(w, grp);
    await t.leave(false);
    await r.c.none(p => p.pres && p.pres.src === w.uid, { m, ms: 300 });
  },
  { strict: true },
);
T(
  'channel',
  "a reader's {pres del} and {info} reveal nobody",
  async () => {
    const { o, g, rs } = await channel(1);
    const r = rs[0];
    await g.publish('a');
    await g.publish('b');
    await r.c.data({ seq: 2 });
    const m = r.c.mark();
    g.noteRead(1);
    g.noteKeyPress();
    await g.delMessages([{ low: 1 }], true);
    await r.c.pres({ what: 'del' }, m);
    await h.sleep(100);
    assert.ok(!JSON.stringify(r.c.since(m)).includes(h.bare(o.uid)));
  },
  { strict: true },
);
T('channel', 'another session of an attached reader gets {pres msg} on me with src=chn…', async () => {
  const { g, chn, rs } = await channel(1);
  const r2 = await h.again(rs[0].c);
  await h.sleep(100);
  const m = r2.mark();
  await g.publish('ding');
  const p = await r2.pres({ what: 'msg' }, m);
  assert.deepEqual([p.topic, p.src, p.seq], ['me', chn, 1]);
});
T(
  'channel',
  'hard deletion by the owner: attached readers get {pres del} with delseq, their other sessions on me with clear',
  async () => {
    const { g, chn, rs } = await channel(1);
    const r2 = await h.again(rs[0].c);
    await g.publish('a');
    await g.publish('b');
    await rs[0].c.data({ seq: 2 });
    const m0 = rs[0].c.mark(),
      m1 = r2.mark();
    await g.delMessages([{ low: 1 }], true);
    const p = await rs[0].c.pres({ what: 'del', topic: chn }, m0);
    assert.deepEqual(p.delseq, [{ low: 1 }]);
    const q = await r2.pres({ what: 'del', topic: 'me', src: chn }, m1);
    assert.equal(q.clear, p.clear);
  },
);
T(
  'channel',
  "on a reader's me: topic chn…, seq, read, recv, public; his read marks are stored but relayed to nobody",
  async () => {
    const { o, g, chn, rs } = await channel(1, { desc: { public: { fn: 'News' } } });
    const r = rs[0];
    await g.publish('a');
    await r.c.data({ seq: 1 });
    const m = o.mark();
    r.t.noteRead(1);
    await o.none(p => p.info, { m, ms: 300 });
    const s = (await (await h.rawOf(r.c)).req('get', { topic: 'me', what: 'sub' }, { meta: true })).sub;
    assert.deepEqual(
      s.map(x => [x.topic, x.seq, x.read, x.public, x.acs.mode]),
      [[chn, 1, 1, { fn: 'News' }, 'JRP']],
    );
  },
);
T('channel', "typing of members is not shown to readers; readers' typing to nobody", async () => {
  const { o, g, rs } = await channel(1);
  const r = rs[0];
  const m = r.c.mark(),
    mo = o.mark();
  g.noteKeyPress();
  r.t.noteKeyPress();
  await h.sleep(300);
  assert.ok(!r.c.since(m).some(p => p.info));
  assert.ok(!o.since(mo).some(p => p.info));
});
T('channel', 'public changed: readers get {pres upd} on me with src=chn…', async () => {
  const { g, chn, rs } = await channel(1);
  const m = rs[0].c.mark();
  await g.setMeta({ desc: { public: { fn: 'N2' } } });
  await rs[0].c.pres({ what: 'upd', topic: 'me', src: chn }, m);
});
T('channel', 'a reader may have private and may mute himself', async () => {
  const { g, chn, rs } = await channel(1);
  const r = rs[0];
  assert.equal((await r.t.setMeta({ desc: { private: { comment: 'c', arch: true } } })).code, 200);
  const x = await r.t.setMeta({ sub: { mode: 'JR' } });
  assert.equal(x.params.acs.getMode ? x.params.acs.getMode() : x.params.acs.mode, 'JR');
  await r.t.leave(false);
  await h.sleep(50);
  const m = r.c.mark();
  await g.publish('quiet');
  await r.c.none(h.is.pres({ what: 'msg', src: chn }), { m, ms: 300 });
});
T('channel', 'asking for more than JRP gives no more', async () => {
  const { chn } = await channel(0);
  const c = await h.user();
  const t = await h.join(c, chn, 'JRWPASD');
  assert.doesNotMatch(t.acs.getMode(), /[WASDO]/);
  await h.fails(c.t.publish(chn, 'x'), 403);
});
T('channel', 'leave, return (200), unsubscribe, return with JRP again', async () => {
  const { chn, rs } = await channel(1);
  const r = rs[0];
  const raw = await h.rawOf(r.c);
  assert.equal((await r.t.leave(false)).code, 200);
  assert.equal((await r.c.t.subscribe(chn)).code, 200);
  assert.equal((await r.t.leave(true)).code, 200);
  const s = await raw.req('get', { topic: 'me', what: 'sub' }, { meta: true });
  assert.ok(s.code === 204 || !s.sub.some(x => x.topic === chn && !x.deleted));
  const c = await raw.req('sub', { topic: chn });
  assert.deepEqual([c.code, c.params.acs.mode], [200, 'JRP']);
});
T('channel', 'invited members have the group name and write', async () => {
  const { o, g, grp } = await channel(0);
  const w = await h.user();
  const m = w.mark();
  await g.invite(w.uid, 'JRWPS');
  await w.pres({ what: 'acs', src: grp, act: o.uid }, m);
  await h.settle();
  await h.join(w, grp, 'JRWPS');
  await h.settle();
  assert.equal((await w.t.publish(grp, 'x')).code, 202);
});
T('channel', "a member who uses the readers' name is sent to the group's: 303 with params.topic", async () => {
  const { o, grp, chn } = await channel(0);
  const r = await h.rawOf(o);
  const c = await r.req('sub', { topic: chn });
  assert.deepEqual([c.code, c.topic, c.params], [303, chn, { topic: grp }]);
  assert.equal((await r.req('pub', { topic: chn, content: 'x' })).code, 409);
});
T('channel', 'several sessions of a reader; {data} in each, none duplicated', async () => {
  const { g, chn, rs } = await channel(1);
  const r2 = await h.again(rs[0].c);
  await h.join(r2, chn);
  const m = [rs[0].c.mark(), r2.mark()];
  await g.publish('once');
  await rs[0].c.data({ seq: 1 }, m[0]);
  await r2.data({ seq: 1 }, m[1]);
  await h.sleep(100);
  for (const [i, c] of [rs[0].c, r2].entries()) assert.equal(c.since(m[i]).filter(p => p.data).length, 1);
});
T(
  'channel',
  'deleted: attached readers lose it ({pres gone} with chn…)',
  async () => {
    const { o, grp, chn, rs } = await channel(1);
    const r = rs[0];
    const m = r.c.mark();
    assert.equal((await o.t.delTopic(grp, true)).code, 200);
    await r.c.pres({ what: 'gone', topic: 'me', src: chn }, m);
  },
  { strict: true },
);
T('channel', 'deleted: 404 for readers', async () => {
  const { o, grp, chn, rs } = await channel(1);
  await rs[0].t.leave(false);
  assert.equal((await o.t.delTopic(grp, true)).code, 200);
  await h.settle();
  await h.fails(rs[0].c.t.subscribe(chn), 404);
});
T('channel', "calls and forms: a reader's {note data} reaches nobody", async () => {
  const { o, g, chn, rs } = await channel(1);
  await g.publish('form');
  await rs[0].c.data({ seq: 1 });
  const m = o.mark();
  const raw = await h.rawOf(rs[0].c);
  await raw.req('sub', { topic: chn });
  raw.send({ note: { topic: chn, what: 'data', seq: 1, payload: { a: 1 } } });
  await o.none(p => p.info, { m, ms: 250 });
});
