import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;
// Users a and b with a conversation; b2 is a second device of b, attached to me and, if asked, to the conversation.
async function devices(attach) {
  const p = await h.pair();
  const b2 = await h.again(p.b);
  const tb2 = attach ? await h.join(b2, p.a.uid) : null;
  await h.sleep(150);
  return { ...p, b2, tb2 };
}
T('devices', 'own message: {data} to the other attached device, {pres msg} without act to the detached one', async () => {
  const { a, b, tb, b2 } = await devices(true);
  const b3 = await h.again(b);
  await h.sleep(100);
  const m2 = b2.mark(),
    m3 = b3.mark();
  await tb.publish('from device 1');
  const d = await b2.data({ seq: 1 }, m2);
  assert.deepEqual([d.topic, d.from], [a.uid, b.uid]);
  const p = await b3.pres({ what: 'msg' }, m3);
  assert.deepEqual([p.topic, p.src, p.seq, p.act], ['me', a.uid, 1, undefined]);
});
T('devices', 'read on one: the other detached one gets {pres read} on me; the attached one {info}', async () => {
  const { a, b, ta, tb, b2 } = await devices(false);
  const b3 = await h.again(b);
  await h.join(b3, a.uid);
  await ta.publish('1');
  await ta.publish('2');
  await b.data({ seq: 2 });
  await h.sleep(100);
  const m2 = b2.mark(),
    m3 = b3.mark();
  tb.noteRead(2);
  const p = await b2.pres({ what: 'read' }, m2);
  assert.deepEqual([p.topic, p.src, p.seq], ['me', a.uid, 2]);
  const i = await b3.info({ what: 'read' }, m3);
  assert.deepEqual([i.from, i.seq], [b.uid, 2]);
  await h.sleep(50);
  assert.equal(b2.t.getTopic(a.uid).unread, 0);
  assert.equal(b2.allPres({ what: 'read' }, m2).length, 1);
});
T('devices', 'received on one: {pres recv} on me to the other', async () => {
  const { a, b, ta, tb, b2 } = await devices(false);
  await tb.leave(false);
  await ta.publish('1');
  await b.pres({ what: 'msg' });
  const m2 = b2.mark();
  b.t.note(a.uid, 'recv', 1);
  const p = await b2.pres({ what: 'recv' }, m2);
  assert.deepEqual([p.topic, p.src, p.seq], ['me', a.uid, 1]);
});
T('devices', 'own message sets own read and recv: no unread on the other device', async () => {
  const { a, tb, b2 } = await devices(false);
  await tb.publish('mine');
  await h.sleep(150);
  const s = (await b2.t.getMeta('me', { what: 'sub', sub: { topic: a.uid } })).sub[0];
  assert.deepEqual([s.seq, s.read, s.recv], [1, 1, 1]);
});
T('devices', 'unread counts add up over conversations and devices', async () => {
  const { a, b, ta, tb } = await h.pair();
  const c = await h.user();
  const tc = await h.join(c, b.uid);
  await tb.leave(false);
  for (let i = 0; i < 3; i++) await ta.publish('x');
  for (let i = 0; i < 2; i++) await tc.publish('y');
  await h.settle();
  const d = await h.again(b);
  const n = () => Object.fromEntries([a, c].map(x => [x.uid, d.t.getTopic(x.uid).unread]));
  await d.wait(p => p.meta && p.meta.sub);
  await h.sleep(50);
  assert.deepEqual(n(), { [a.uid]: 3, [c.uid]: 2 });
  const td = await h.join(d, a.uid);
  await d.ctrl({ code: 208 });
  td.noteRead(2);
  await h.sleep(150);
  const e = await h.again(b);
  await e.wait(p => p.meta && p.meta.sub);
  await h.sleep(50);
  assert.equal(e.t.getTopic(a.uid).unread, 1);
});
T('devices', '{note read unread:n} is accepted and not shown to the other side', async () => {
  const { a, b, ta } = await h.pair();
  await ta.publish('1');
  await b.data({ seq: 1 });
  const m = a.mark();
  const r = await h.rawOf(b);
  await r.req('sub', { topic: a.uid });
  r.send({ note: { topic: a.uid, what: 'read', seq: 1, unread: 7 } });
  const i = await a.info({ what: 'read' }, m);
  assert.deepEqual([i.seq, i.unread], [1, undefined]);
});
T('devices', "typing is not sent to one's own other devices", async () => {
  const { a, b2, tb } = await devices(true);
  const m2 = b2.mark(),
    m = a.mark();
  tb.noteKeyPress();
  await a.info({ what: 'kp' }, m);
  await b2.none(h.is.info({ what: 'kp' }), { m: m2, ms: 200 });
});
T('devices', 'soft deletion on one: the attached other gets {pres del}, a detached one on me', async () => {
  const { a, b, ta, tb, b2 } = await devices(true);
  const b3 = await h.again(b);
  await ta.publish('1');
  await ta.publish('2');
  await b.data({ seq: 2 });
  await h.sleep(100);
  const m2 = b2.mark(),
    m3 = b3.mark();
  await tb.delMessages([{ low: 1 }], false);
  await b2.wait(p => p.pres && p.pres.what === 'del', { m: m2 });
  const p = await b3.pres({ what: 'del' }, m3);
  assert.deepEqual([p.topic, p.src, p.clear], ['me', a.uid, 1]);
  const m = b3.mark();
  await b3.t.subscribe(a.uid, { what: 'data' });
  await b3.ctrl({ code: 208 }, m);
  assert.deepEqual(
    b3
      .since(m)
      .filter(q => q.data)
      .map(q => q.data.seq),
    [2],
  );
});
T('devices', 'new conversation started on one appears on the other: {pres acs} then {get sub} by the SDK', async () => {
  const b = await h.user();
  const b2 = await h.again(b);
  const a = await h.user({ fn: 'Ann' });
  await h.sleep(100);
  const m = b2.mark();
  await h.join(b, a.uid);
  const p = await b2.pres({ what: 'acs', topic: 'me', src: a.uid }, m);
  assert.ok(p.dacs.want && p.dacs.given);
  await b2.wait(q => q.meta && q.meta.sub && q.meta.sub.some(s => s.topic === a.uid), { m });
  await h.sleep(50);
  assert.equal(b2.t.getTopic(a.uid).public.fn, 'Ann');
});
T('devices', 'unsubscribed on one: {pres gone} on the other, the SDK drops the topic', async () => {
  const { a, tb, b2 } = await devices(false);
  const m2 = b2.mark();
  await tb.leave(true);
  await b2.pres({ what: 'gone', topic: 'me', src: a.uid }, m2);
  await h.sleep(50);
  let left = [];
  b2.me().contacts(c => left.push(c.topic || c.name));
  assert.ok(!left.includes(a.uid));
});
T('devices', 'an attached other device is evicted (205 unsub:true) when one unsubscribes', async () => {
  const { a, tb, b2, tb2 } = await devices(true);
  const m2 = b2.mark();
  await tb.leave(true);
  const e = await b2.ctrl({ code: 205, topic: a.uid }, m2);
  assert.equal(e.params.unsub, true);
  await h.sleep(30);
  assert.ok(!tb2.isSubscribed());
});
T('devices', 'mode changed on one: {pres acs} to the other, attached and not; SDK follows', async () => {
  const { a, b, tb, b2, tb2 } = await devices(true);
  const b3 = await h.again(b);
  await h.sleep(100);
  const m2 = b2.mark(),
    m3 = b3.mark();
  await tb.setMeta({ sub: { mode: 'JRWA' } });
  const p = await b2.pres({ what: 'acs', topic: a.uid }, m2);
  assert.deepEqual([p.src, p.dacs], [undefined, { want: '-P' }]);
  const q = await b3.pres({ what: 'acs', topic: 'me', src: a.uid }, m3);
  assert.deepEqual(q.dacs, { want: '-P' });
  await h.sleep(50);
  assert.ok(tb2.getAccessMode().isMuted());
});
T('devices', 'own public changed on one: the other fetches it', async () => {
  const b = await h.user({ fn: 'Old' });
  const b2 = await h.again(b);
  await h.sleep(150);
  const m = b2.mark();
  await b.me().setMeta({ desc: { public: { fn: 'New' } } });
  await b2.wait(p => p.meta && p.meta.topic === 'me' && p.meta.desc && p.meta.desc.public && p.meta.desc.public.fn === 'New', {
    m,
  });
  await h.sleep(30);
  assert.equal(b2.me().public.fn, 'New');
});
T('devices', 'own private on me changed on one: the other is told', async () => {
  const b = await h.user();
  const b2 = await h.again(b);
  await h.sleep(150);
  const m = b2.mark();
  await b.me().setMeta({ desc: { private: { comment: 'z' } } });
  await b2.wait(p => p.pres && p.pres.topic === 'me' && p.pres.what === 'upd', { m });
});
T('devices', 'two sessions publish at once: both see one order', async () => {
  const { a, b, tb, b2, tb2 } = await devices(true);
  const N = 20;
  await Promise.all([...Array(N)].flatMap((_, i) => [tb.publish('p' + i), tb2.publish('q' + i)]));
  for (const c of [a, b, b2]) await c.data({ seq: 2 * N }, 0, 8000);
  await h.sleep(50);
  const l = [a, b, b2].map(c => JSON.stringify(c.log.filter(p => p.data).map(p => [p.data.seq, p.data.content])));
  assert.equal(new Set(l).size, 1);
});
T('devices', 'noecho silences only the sending session', async () => {
  const { a, b, tb, b2 } = await devices(true);
  const mb = b.mark(),
    m2 = b2.mark(),
    ma = a.mark();
  await tb.publishMessage(tb.createMessage('x', true));
  await b2.data({ seq: 1 }, m2);
  await a.data({ seq: 1 }, ma);
  await b.none(p => p.data, { m: mb, ms: 200 });
});
T('devices', 'the same {pub} id in two sessions is two messages', async () => {
  const { a, b, b2 } = await devices(true);
  const [r1, r2] = [await h.rawOf(b), await h.rawOf(b2)];
  for (const r of [r1, r2]) {
    await r.req('sub', { topic: a.uid });
    r.send({ pub: { id: 'same', topic: a.uid, content: 'x' } });
  }
  await a.data({ seq: 2 });
});
T('devices', 'message missed while away is found by {get sub} with ims on me', async () => {
  const { a, b, ta } = await h.pair();
  const at = new Date();
  await h.sleep(50);
  b.close();
  await ta.publish('later');
  const r = await h.rawOf(b, { me: false });
  await r.req('sub', { topic: 'me' });
  const m = await r.req('get', { topic: 'me', what: 'sub', sub: { ims: at.toISOString() } }, { meta: true });
  assert.equal(m.sub.find(s => s.topic === a.uid).seq, 1);
});
T(
  'devices',
  '{get sub} with ims on me: a conversation ended since then comes as deleted; without ims it does not come',
  async () => {
    const { a, b, tb } = await h.pair();
    await h.sleep(1100);
    const ims = new Date().toISOString();
    await h.sleep(50);
    await tb.leave(true);
    const r = await h.rawOf(b);
    const s = (await r.req('get', { topic: 'me', what: 'sub', sub: { ims } }, { meta: true })).sub;
    assert.ok(s.find(x => x.topic === a.uid).deleted);
    assert.equal((await r.req('get', { topic: 'me', what: 'sub' }, { meta: true })).code, 204);
  },
);
T('devices', 'the device token and platform of {hi} are accepted, changed and cleared', async () => {
  const c = await h.user({ me: false });
  const r = await h.rawOf(c);
  for (const dev of ['token-1', 'token-2', h.Tinode.DEL_CHAR])
    assert.ok((await r.req('hi', { ver: '0.25', dev, platf: 'web' })).code < 300);
  assert.equal((await c.t.setDeviceToken('abc'), true), true);
});
T('devices', '20 sessions of a user all get a message once', async () => {
  const { a, b, ta } = await h.pair();
  const rs = [];
  for (let i = 0; i < 20; i++) {
    const r = await h.rawOf(b, { me: false });
    await r.req('sub', { topic: a.uid });
    rs.push([r, r.mark()]);
  }
  await ta.publish('all');
  for (const [r, m] of rs) await r.wait(p => p.data && p.data.seq === 1, 4000, m);
  await h.sleep(150);
  for (const [r, m] of rs) assert.equal(r.since(m).filter(p => p.data).length, 1);
});
