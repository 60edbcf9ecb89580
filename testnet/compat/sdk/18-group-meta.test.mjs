import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;
const DEL = h.Tinode.DEL_CHAR;

T(
  'group desc',
  'owner changes public: {pres upd} on me of members, attached or not, and own other sessions; nothing to himself',
  async () => {
    const { o, g, us, name } = await h.room(2, { desc: { public: { fn: 'Old', note: 'keep' } } });
    await us[1].t.leave(false);
    const o2 = await h.again(o);
    await h.sleep(150);
    const all = [us[0].c, us[1].c, o2].map(c => [c, c.mark()]);
    const mo = o.mark();
    assert.equal((await g.setMeta({ desc: { public: { fn: 'New' } } })).code, 200);
    for (const [c, m] of all) await c.pres({ what: 'upd', topic: 'me', src: name }, m);
    await o.none(h.is.pres({ what: 'upd', src: name }), { m: mo, ms: 150 });
    assert.deepEqual((await h.part(us[0].c, name, 'desc')).public, { fn: 'New', note: 'keep' });
    await g.setMeta({ desc: { public: { note: DEL } } });
    await h.settle();
    assert.deepEqual((await h.part(us[0].c, name, 'desc')).public, { fn: 'New' });
  },
);
T(
  'group desc',
  'members cannot change public or defacs (403), but their private, which tells only their own sessions',
  async () => {
    const { o, us, name } = await h.room(2);
    const [u, w] = us;
    const u2 = await h.again(u.c);
    await h.sleep(150);
    await h.fails(u.t.setMeta({ desc: { public: { fn: 'X' } } }), 403);
    await h.fails(u.t.setMeta({ desc: { defacs: { auth: 'JR' } } }), 403);
    const m2 = u2.mark(),
      mw = w.c.mark(),
      mo = o.mark();
    assert.equal((await u.t.setMeta({ desc: { private: { comment: 'hm' } } })).code, 200);
    await u2.pres({ what: 'upd', topic: 'me', src: name }, m2);
    await w.c.none(h.is.pres({ what: 'upd' }), { m: mw, ms: 200 });
    assert.equal(o.allPres({ what: 'upd' }, mo).length, 0);
    assert.deepEqual((await h.part(u.c, name, 'desc')).private, { comment: 'hm' });
    assert.equal((await h.part(w.c, name, 'desc')).private, undefined);
  },
);
T('group desc', "unattached: private 200, public not changed, others' modes 403", async () => {
  const { o, us, name } = await h.room(1);
  const r = await h.rawOf(o);
  assert.equal((await r.req('set', { topic: name, desc: { private: { comment: 'c' } } })).code, 200);
  assert.ok((await r.req('set', { topic: name, desc: { public: { fn: 'Z' } } })).code >= 300);
  assert.equal((await r.req('set', { topic: name, sub: { user: us[0].c.uid, mode: 'JR' } })).code, 403);
  const d = (await r.req('get', { topic: name, what: 'desc' }, { meta: true })).desc;
  assert.deepEqual(d.private, { comment: 'c' });
  assert.notEqual(d.public.fn, 'Z');
});
T('group desc', 'defacs: change applies to those who join later; same again 304; letters 400; owner right 400', async () => {
  const { o, g, us, name } = await h.room(1);
  const r = await h.rawOf(o);
  await r.req('sub', { topic: name });
  const set = async defacs => (await r.req('set', { topic: name, desc: { defacs } })).code;
  assert.equal(await set({ auth: 'JRP' }), 200);
  assert.equal(await set({ auth: 'JRP' }), 304);
  assert.equal(await set({ auth: 'JZ' }), 400);
  assert.equal(await set({ auth: 'JRWO' }), 400);
  const b = await h.user();
  const t = await h.join(b, name);
  assert.equal(t.acs.getGiven(), 'JRP');
  assert.equal((await h.members(o, name))[us[0].c.uid].acs.getGiven(), 'JRWPS', 'earlier members keep theirs');
});
T('group tags', 'owner sets, gets added/removed counts; lower case, no duplicates; same again 304; others 403', async () => {
  const { o, us, name } = await h.room(1);
  const r = await h.rawOf(o);
  await r.req('sub', { topic: name });
  const x = h.uniq('gt');
  let c = await r.req('set', { topic: name, tags: [x.toUpperCase(), x, 'y' + x] });
  assert.deepEqual([c.code, c.params], [200, { added: 2 }]);
  assert.deepEqual((await r.req('get', { topic: name, what: 'tags' }, { meta: true })).tags.sort(), [x, 'y' + x].sort());
  c = await r.req('set', { topic: name, tags: [x] });
  assert.deepEqual([c.code, c.params], [200, { removed: 1 }]);
  assert.equal((await r.req('set', { topic: name, tags: [x] })).code, 304);
  assert.equal((await r.req('set', { topic: name, tags: [x, 'email:a@example.com'] })).code, 403);
  await h.fails(us[0].t.setMeta({ tags: ['zzz'] }), 403);
  await h.fails(us[0].c.t.getMeta(name, { what: 'tags' }), 403);
});
T('group tags', 'more than maxTagCount: the surplus is dropped or all refused; never more are kept', async () => {
  const { o, name } = await h.room(0);
  const r = await h.rawOf(o);
  await r.req('sub', { topic: name });
  const max = o.hi.params.maxTagCount;
  await r.req('set', { topic: name, tags: [...Array(max + 10)].map((_, i) => 'tagnum' + i) });
  const t = (await r.req('get', { topic: name, what: 'tags' }, { meta: true })).tags || [];
  assert.ok(t.length <= max, String(t.length));
});
T('group tags', 'too long and too short tags are not kept', async () => {
  const { o, name } = await h.room(0);
  const r = await h.rawOf(o);
  await r.req('sub', { topic: name });
  const ok = h.uniq('ok');
  await r.req('set', { topic: name, tags: ['a', ok, 'x'.repeat(o.hi.params.maxTagLength + 1)] });
  const t = (await r.req('get', { topic: name, what: 'tags' }, { meta: true })).tags || [];
  assert.ok(!t.includes('a') && !t.some(x => x.length > o.hi.params.maxTagLength));
});
T(
  'group aux',
  'owner and admins write, members read; other attached sessions get {pres aux}; merged by key, DEL removes',
  async () => {
    const { o, g, us, name } = await h.room(2);
    await us[1].t.leave(false);
    const o2 = await h.again(o);
    await h.join(o2, name);
    await h.sleep(150);
    const m0 = us[0].c.mark(),
      m1 = us[1].c.mark(),
      m2 = o2.mark();
    assert.equal((await g.setMeta({ aux: { pins: [1], k: 'v' } })).code, 200);
    const p = await us[0].c.pres({ what: 'aux', topic: name }, m0);
    assert.equal(p.src, undefined);
    await o2.pres({ what: 'aux', topic: name }, m2);
    await us[1].c.none(h.is.pres({ what: 'aux' }), { m: m1, ms: 150, what: 'nothing for the detached' });
    assert.deepEqual(await h.part(us[0].c, name, 'aux'), { pins: [1], k: 'v' });
    await g.setMeta({ aux: { k: DEL } });
    await h.settle();
    assert.deepEqual(await h.part(us[0].c, name, 'aux'), { pins: [1] });
    await g.setMeta({ aux: { pins: DEL } });
    await h.settle();
    const c = await us[0].c.t.getMeta(name, { what: 'aux' });
    assert.deepEqual([c.code, c.params.what], [204, 'aux']);
  },
);
T('group aux', 'members without A cannot write (403); with A they can', async () => {
  const { g, us } = await h.room(1);
  const u = us[0];
  await h.fails(u.t.setMeta({ aux: { pins: [2] } }), 403);
  await g.setMeta({ sub: { user: u.c.uid, mode: 'JRWPAS' } });
  await h.settle();
  await u.t.setMeta({ sub: { mode: 'JRWPAS' } });
  assert.equal((await u.t.setMeta({ aux: { pins: [2] } })).code, 200);
});
T('group aux', 'pinning through the SDK (pinMessage) reaches the others', async () => {
  const { g, us } = await h.room(1);
  const u = us[0];
  await g.publish('one');
  await g.publish('two');
  await u.c.data({ seq: 2 });
  await g.pinMessage(2, true);
  await u.c.pres({ what: 'aux' });
  await u.c.wait(p => p.meta && p.meta.aux && p.meta.aux.pins);
  await h.sleep(50);
  assert.deepEqual(u.t.aux('pins'), [2]);
  await g.pinMessage(2, false);
  await h.sleep(200);
  const c = await u.c.t.getMeta(u.t.name, { what: 'aux' });
  assert.ok(c.code === 204 || !(c.aux.pins || []).length);
});
