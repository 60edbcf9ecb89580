import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert, Drafty } = h;
T('slf', 'first {sub}: 200 with acs JRWDO; later without; appears on me', async () => {
  const c = await h.user();
  const r = await h.rawOf(c);
  const k = await r.req('sub', { topic: 'slf' });
  assert.deepEqual([k.code, k.params.acs], [200, { want: 'JRWDO', given: 'JRWDO', mode: 'JRWDO' }]);
  assert.equal((await r.req('sub', { topic: 'slf' })).code, 304);
  await r.req('leave', { topic: 'slf' });
  assert.equal((await r.req('sub', { topic: 'slf' })).params, undefined);
  const s = (await r.req('get', { topic: 'me', what: 'sub' }, { meta: true })).sub;
  assert.deepEqual(
    s.map(x => [x.topic, x.acs.mode]),
    [['slf', 'JRWDO']],
  );
});
T('slf', 'notes to self: published, kept, on all own devices, from oneself; unread stays 0', async () => {
  const c = await h.user();
  const t = c.t.getTopic('slf');
  await t.subscribe();
  const d = await h.again(c);
  await d.t.subscribe('slf');
  const m = d.mark();
  assert.equal((await t.publish('remember')).params.seq, 1);
  const x = await d.data({ seq: 1 }, m);
  assert.deepEqual([x.topic, x.from, x.content], ['slf', c.uid, 'remember']);
  const r = await h.rawOf(c);
  const s = (await r.req('get', { topic: 'me', what: 'sub' }, { meta: true })).sub[0];
  assert.deepEqual([s.seq, s.read, s.recv], [1, 1, 1]);
  const e = await h.again(c);
  await e.t.subscribe('slf', { what: 'data' });
  await e.data({ content: 'remember' });
});
T('slf', 'nobody else sees it', async () => {
  const [a, b] = await Promise.all([h.user(), h.user()]);
  await a.t.subscribe('slf');
  await a.t.publish('slf', 'secret');
  await b.t.subscribe('slf', { what: 'data' });
  await b.none(p => p.data, { ms: 200 });
});
T('slf', 'hard deletion, private, aux pins work; tags 405; public unchanged', async () => {
  const c = await h.user();
  const t = c.t.getTopic('slf');
  await t.subscribe();
  await t.publish('1');
  await t.publish('2');
  assert.equal((await t.delMessages([{ low: 1 }], true)).params.del, 1);
  assert.deepEqual((await c.t.getMeta('slf', { what: 'del' })).del.delseq, [{ low: 1 }]);
  assert.equal((await t.setMeta({ desc: { private: { comment: 'c' } } })).code, 200);
  assert.equal((await t.setMeta({ aux: { pins: [2] } })).code, 200);
  assert.deepEqual(await h.part(c, 'slf', 'aux'), { pins: [2] });
  await h.fails(c.t.getMeta('slf', { what: 'tags' }), 405);
});
T('slf', 'cannot be left for good (403); deleting it empties it', async () => {
  const c = await h.user();
  const r = await h.rawOf(c);
  await r.req('sub', { topic: 'slf' });
  await r.req('pub', { topic: 'slf', content: 'x' });
  assert.equal((await r.req('leave', { topic: 'slf', unsub: true })).code, 403);
  assert.equal((await r.req('del', { topic: 'slf', what: 'topic', hard: true })).code, 200);
  assert.equal((await r.req('sub', { topic: 'slf' })).code, 200);
  assert.equal((await r.req('get', { topic: 'slf', what: 'data' })).code, 204);
});
T(
  'slf',
  'nobody can be invited',
  async () => {
    const [a, b] = await Promise.all([h.user(), h.user()]);
    await a.t.subscribe('slf');
    await assert.rejects(a.t.setMeta('slf', { sub: { user: b.uid, mode: 'JR' } }), e => e.code >= 400);
  },
  { strict: true },
);
T('sys', 'abuse report as the web app sends it: 202 with seq, without attaching', async () => {
  const [a, b] = await Promise.all([h.user(), h.user()]);
  const c = await a.t.publish('sys', Drafty.attachJSON(null, { action: 'report', target: b.uid }));
  assert.equal(c.code, 202);
  assert.ok(c.params.seq >= 1);
  const d = await a.t.publish('sys', 'plain');
  assert.ok(d.params.seq > c.params.seq);
});
T('sys', 'users cannot attach (403), read or change it', async () => {
  const r = await h.rawOf(await h.user({ me: false }));
  assert.equal((await r.req('sub', { topic: 'sys' })).code, 403);
  assert.ok((await r.req('get', { topic: 'sys', what: 'data' })).code >= 400);
  const d = await r.req('get', { topic: 'sys', what: 'desc' }, { meta: true });
  assert.ok(d.code >= 400 || d.desc.acs.mode === 'N');
  assert.ok((await r.req('set', { topic: 'sys', desc: { public: { fn: 'x' } } })).code >= 300);
  assert.ok((await r.req('del', { topic: 'sys', what: 'topic', hard: true })).code >= 300);
  assert.equal((await r.req('leave', { topic: 'sys' })).code, 304);
  assert.equal((await r.req('pub', { topic: 'sys', content: 'still' })).code, 202);
});
T('forms', '{note data}: a form answer reaches the other side as {info data} with seq', async () => {
  const { a, b, ta } = await h.pair();
  const form = Drafty.init('Sure? ');
  await ta.publish(form);
  await b.data({ seq: 1 });
  const m = a.mark();
  const r = await h.rawOf(b);
  await r.req('sub', { topic: a.uid });
  r.send({ note: { topic: a.uid, what: 'data', seq: 1, payload: { yes: 1 } } });
  const i = await a.info({ what: 'data' }, m);
  assert.deepEqual([i.topic, i.from, i.seq], [b.uid, b.uid, 1]);
});
T(
  'forms',
  '{note data} carries its payload',
  async () => {
    const { a, b, ta } = await h.pair();
    await ta.publish('form');
    await b.data({ seq: 1 });
    const m = a.mark();
    const r = await h.rawOf(b);
    await r.req('sub', { topic: a.uid });
    r.send({ note: { topic: a.uid, what: 'data', seq: 1, payload: { yes: [1, { k: null }] } } });
    assert.deepEqual((await a.info({ what: 'data' }, m)).payload, { yes: [1, { k: null }] });
  },
  { strict: true },
);
T('forms', '{note data} without payload, before attaching, or to nobody: ignored or id-less error, session lives', async () => {
  const { a, b, ta } = await h.pair();
  await ta.publish('form');
  await b.data({ seq: 1 });
  const m = a.mark();
  const r = await h.rawOf(b);
  r.send({ note: { topic: a.uid, what: 'data', seq: 1, payload: {} } });
  await r.req('sub', { topic: a.uid });
  r.send({ note: { topic: a.uid, what: 'data', seq: 1 } });
  await a.none(h.is.info({ what: 'data' }), { m, ms: 250 });
  assert.equal((await r.req('get', { topic: 'me', what: 'desc' }, { meta: true })).topic, 'me');
});
T('forms', 'form with buttons, answered by a message (resp) that keeps mime, and by forwarding', async () => {
  const { a, b, ta, tb } = await h.pair();
  let f = Drafty.parse('Choose');
  f = Drafty.appendButton ? Drafty.appendButton(f, 'Yes', 'yes', 'pub', 'yes') : f;
  await ta.publish(Drafty.wrapAsForm ? Drafty.wrapAsForm(f, 0, f.txt.length) : f);
  const d = await b.data({ seq: 1 });
  assert.ok(Drafty.isValid(d.content));
  const m = a.mark();
  let ans = Drafty.init('yes');
  ans = Drafty.attachJSON(ans, { seq: 1, resp: { yes: 1 } });
  await tb.publish(ans);
  const e = await a.data({ seq: 2 }, m);
  assert.equal(e.head.mime, 'text/x-drafty');
  assert.deepEqual(e.content.ent.find(x => x.tp === 'EX').data.val, { seq: 1, resp: { yes: 1 } });
});
T('drafty', 'image, audio, video, attachment and form entities pass unchanged', async () => {
  const { b, ta } = await h.pair();
  const ent = [
    { tp: 'IM', data: { mime: 'image/png', val: 'AAAA', width: 1, height: 1, name: 'p.png', size: 3 } },
    { tp: 'AU', data: { mime: 'audio/aac', val: 'AAAA', duration: 12, preview: 'AA' } },
    { tp: 'VD', data: { mime: 'video/mp4', ref: '/v0/file/s/AAAA.mp4', duration: 5 } },
    { tp: 'EX', data: { mime: 'application/pdf', name: 'a.pdf', ref: '/v0/file/s/BBBB.pdf', size: 10 } },
    { tp: 'BN', data: { name: 'n', act: 'url', ref: 'http://x.example' } },
    { tp: 'ZZ', data: { future: [1] } },
  ];
  const content = {
    txt: 'abcdef',
    fmt: ent.map((_, i) => ({ at: i, len: 1, key: i })).concat([{ at: -1, len: 0, key: 3 }]),
    ent,
  };
  const p = ta.createMessage('x');
  p.content = content;
  p.head = { mime: 'text/x-drafty' };
  await ta.publishMessage(p);
  assert.deepEqual((await b.data({ seq: 1 })).content, content);
});
