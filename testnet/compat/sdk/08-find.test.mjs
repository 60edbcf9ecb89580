import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;
const DEL = h.Tinode.DEL_CHAR;
// A tag with a prefix goes along, because some servers notice only changes among those.
const addTags = async (c, ...t) =>
  c.me().setMeta({ tags: [...((await h.part(c, 'me', 'tags')) || []), 'mark:' + h.uniq(), ...t] });
// A session of user c attached to fnd; find(query) answers the rows, [] for none.
async function finder(c) {
  const r = await h.rawOf(c, { me: false });
  await r.req('sub', { topic: 'fnd' });
  r.find = async (q, what = 'public') => {
    assert.equal((await r.req('set', { topic: 'fnd', desc: { [what]: q } })).code, 200);
    const m = await r.req('get', { topic: 'fnd', what: 'sub' }, { meta: true });
    if (m.code) {
      assert.deepEqual([m.code, m.params.what], [204, 'sub']);
      return [];
    }
    return m.sub;
  };
  r.names = async (q, what) => (await r.find(q, what)).map(s => s.topic).sort();
  return r;
}
const sorted = (...a) => a.sort();
// Three topics and two users with tags made from one fresh word x: 1x 2x 3x.
async function world() {
  const x = h.uniq('w');
  const [t1, t2, t3] = ['one', 'two', 'thr'].map(s => s + x);
  const [a, b, f] = await Promise.all([h.user({ fn: 'Ann', tags: [t1, t2] }), h.user({ fn: 'Bob', tags: [t1, t3] }), h.user()]);
  const g = await h.group(a, { desc: { public: { fn: 'Grp' } }, tags: [t1, t2, t3] });
  return { x, t1, t2, t3, a, b, g: g.name, r: await finder(f), f };
}

T('find', 'attach to fnd: 200; desc with own modes; nothing found yet: 204', async () => {
  const r = await h.rawOf(await h.user({ me: false }), { me: false });
  assert.equal((await r.req('sub', { topic: 'fnd' })).code, 200);
  assert.ok((await r.req('get', { topic: 'fnd', what: 'desc' }, { meta: true })).desc);
  const c = await r.req('get', { topic: 'fnd', what: 'sub' });
  assert.deepEqual([c.code, c.params.what], [204, 'sub']);
});
T('find', 'one tag: users and groups; rows carry topic, public, acs.mode, private=[matched]', async () => {
  const { t1, a, b, g, r } = await world();
  const s = Object.fromEntries((await r.find(t1)).map(x => [x.topic, x]));
  assert.deepEqual(Object.keys(s).sort(), sorted(a.uid, b.uid, g));
  assert.deepEqual([s[a.uid].public, s[a.uid].private, s[a.uid].user], [{ fn: 'Ann' }, [t1], undefined]);
  assert.deepEqual([s[g].public, s[g].private, s[g].acs.mode], [{ fn: 'Grp' }, [t1], 'JRWPS']);
  assert.match(s[a.uid].acs.mode, /^JRW/);
});
T('find', 'through the SDK: fnd topic fills contacts', async () => {
  const { t1, a, b, g, f } = await world();
  const fnd = f.t.getFndTopic();
  await fnd.subscribe(fnd.startMetaQuery().build());
  await fnd.setMeta({ desc: { public: t1 } });
  await fnd.getMeta(fnd.startMetaQuery().withSub().build());
  await h.sleep(50);
  const got = [];
  fnd.contacts(c => got.push(c.topic || c.name || c.user));
  assert.deepEqual(got.sort(), sorted(a.uid, b.uid, g));
});
T('find', 'case does not matter in queries nor in tags', async () => {
  const { t1, x, a, b, g, r } = await world();
  assert.deepEqual(await r.names(t1.toUpperCase()), sorted(a.uid, b.uid, g));
  await addTags(a, 'MiXed' + x.toUpperCase());
  assert.deepEqual(await r.names('mixed' + x), [a.uid]);
});
T('find', 'space is AND', async () => {
  const { t1, t2, t3, a, g, r } = await world();
  assert.deepEqual(await r.names(`${t1} ${t2}`), sorted(a.uid, g));
  assert.deepEqual(await r.names(`${t2} ${t3}`), [g]);
});
T('find', 'comma is OR, with or without spaces around', async () => {
  const { t2, t3, a, b, g, r } = await world();
  for (const q of [`${t2},${t3}`, `${t2} , ${t3}`, `${t2}, ${t3}`])
    assert.deepEqual(await r.names(q), sorted(a.uid, b.uid, g), q);
});
T('find', 'OR binds stronger: of "t1 t2,nope" those with t1 AND (t2 OR nope) come, and come first; all have t1', async () => {
  const { t1, t2, x, a, g, r } = await world();
  assert.deepEqual(
    (await r.names(`${t1} ${t2},nope${x}`)).filter(n => n === a.uid || n === g),
    sorted(a.uid, g),
  );
  assert.deepEqual(
    (await r.find(`${t1} ${t2},nope${x}`))
      .slice(0, 2)
      .map(s => s.topic)
      .sort(),
    sorted(a.uid, g),
  );
  assert.deepEqual(await r.names(`nope${x} ${t2},${t1}`), []);
});
T(
  'find',
  'OR binds stronger: nothing that fails the OR part',
  async () => {
    const { t1, t2, x, a, g, r } = await world();
    assert.deepEqual(await r.names(`${t1} ${t2},nope${x}`), sorted(a.uid, g));
  },
  { strict: true },
);
T('find', 'better matches come first; private lists what matched', async () => {
  const { t1, t2, t3, g, r } = await world();
  const s = await r.find(`${t1},${t2},${t3}`);
  assert.equal(s[0].topic, g);
  assert.deepEqual(s[0].private.sort(), sorted(t1, t2, t3));
});
T('find', 'nothing: 204; empty query, cleared query, only punctuation: 204', async () => {
  const { x, r } = await world();
  for (const q of ['nosuch' + x, '', ' , ', DEL]) assert.deepEqual(await r.find(q), [], q);
});
T('find', 'queries that are no strings, or are malformed, find nothing and hurt nobody', async () => {
  const { t1, a, b, g, r } = await world();
  for (const q of [42, { a: 1 }, ['x'], `(${t1}`, `${t1}, ,, ,`]) {
    const c = await r.req('set', { topic: 'fnd', desc: { public: q } });
    assert.ok(c.code < 500);
    assert.ok((await r.req('get', { topic: 'fnd', what: 'sub' }, { meta: true })).code !== 500);
  }
  assert.deepEqual(await r.names(t1), sorted(a.uid, b.uid, g));
});
T('find', 'one does not find oneself', async () => {
  const { t1, a, b, g } = await world();
  const r = await finder(a);
  assert.deepEqual(await r.names(t1), sorted(b.uid, g));
});
T('find', 'basic:<login> finds the user, the bare login does not', async () => {
  const { a, r } = await world();
  assert.deepEqual(await r.names('basic:' + a.login), [a.uid]);
  assert.deepEqual(await r.names(a.login), []);
});
T('find', 'alias:<name> finds user and group; the bare name does not', async () => {
  const { x, a, g, r } = await world();
  const al = ('a' + x).slice(0, 20);
  await addTags(a, 'alias:' + al);
  assert.deepEqual(await r.names('alias:' + al), [a.uid]);
  assert.deepEqual(await r.names(al), []);
  void g;
});
T('find', 'what the web app sends for a word: alias:word,word', async () => {
  const { x, t1, a, b, g, r } = await world();
  await addTags(b, 'alias:' + ('q' + x).slice(0, 20));
  assert.deepEqual(await r.names(`alias:q${x},q${x}`), [b.uid]);
  assert.deepEqual(await r.names(`alias:${t1},${t1}`), sorted(a.uid, b.uid, g));
});
T(
  'find',
  'an alias belongs to one only: taken is refused, freed is available',
  async () => {
    const { x, a, b } = await world();
    const al = 'alias:' + ('u' + x).slice(0, 20);
    await addTags(a, al);
    const r = await addTags(b, al).catch(e => e);
    const tags = await h.part(b, 'me', 'tags');
    assert.ok(r.code >= 300 || !tags.includes(al));
    assert.ok(!tags.includes(al));
    await a.me().setMeta({ tags: (await h.part(a, 'me', 'tags')).filter(t => t !== al) });
    await addTags(b, al);
    assert.ok((await h.part(b, 'me', 'tags')).includes(al));
  },
  { strict: true },
);
T('find', 'confirmed e-mail: found by email:addr and by the bare address', async t => {
  const { a, r } = await world();
  if (!(a.hi.params.reqCred && a.hi.params.reqCred.auth)) return t.skip('server has no credential validators on');
  const em = a.login + '@example.com';
  for (const q of ['email:' + em, em, em.toUpperCase()]) assert.deepEqual(await r.names(q), [a.uid], q);
  await r.find(DEL);
  assert.deepEqual(await r.names(em, 'private'), [a.uid]);
});
T('find', 'confirmed telephone number: found by tel:…, internationally, nationally and as people write it', async t => {
  const { a, r } = await world();
  const tel = '+1702' + String(Date.now()).slice(-7);
  await a
    .me()
    .setMeta({ cred: { meth: 'tel', val: tel } })
    .catch(() => {});
  await a
    .me()
    .setMeta({ cred: { meth: 'tel', resp: h.CODE } })
    .catch(() => {});
  if (!((await h.part(a, 'me', 'cred')) || []).some(k => k.meth === 'tel' && k.done))
    return t.skip('the server does not confirm telephone numbers');
  for (const q of ['tel:' + tel, tel, tel.slice(2), `+1(702)${tel.slice(5, 8)}-${tel.slice(8)}`])
    assert.deepEqual(await r.names(q), [a.uid], q);
});
T('find', "channels come as chn… with the readers' mode", async () => {
  const { x, a, r } = await world();
  const g = await h.group(a, { tags: ['chan' + x], desc: { public: { fn: 'Ch' } } }, true);
  const s = await r.find('chan' + x);
  assert.deepEqual(
    s.map(q => [q.topic, q.acs.mode, q.public]),
    [[h.chn(g.name), 'JRP', { fn: 'Ch' }]],
  );
});
T('find', "a user's acs.mode is his default access", async () => {
  const { t2, a, r } = await world();
  await a.me().setMeta({ desc: { defacs: { auth: 'JRP' } } });
  const s = (await r.find(t2)).find(q => q.topic === a.uid);
  assert.match(s.acs.mode, /^JR/);
  assert.doesNotMatch(s.acs.mode, /W/);
});
T('find', 'changed tags count at once; removed ones no longer', async () => {
  const { x, t1, t2, a, r } = await world();
  await a.me().setMeta({ tags: [...(await h.part(a, 'me', 'tags')).filter(t => t !== t2), 'mark:' + h.uniq(), 'new' + x] });
  assert.ok(!(await r.names(t2)).includes(a.uid));
  assert.deepEqual(await r.names('new' + x), [a.uid]);
  assert.ok((await r.names(t1)).includes(a.uid));
});
T('find', "private query: kept across sessions; public one wins where set and is the session's own", async () => {
  const { t1, t2, t3, a, b, g, f, r } = await world();
  assert.deepEqual(await r.names(t3, 'private'), sorted(b.uid, g));
  assert.deepEqual(await r.names(t2), sorted(a.uid, g), 'public wins');
  const r2 = await finder(f);
  const m = await r2.req('get', { topic: 'fnd', what: 'sub' }, { meta: true });
  assert.deepEqual(m.sub.map(s => s.topic).sort(), sorted(b.uid, g), 'another session sees the private one only');
  assert.equal((await r2.req('get', { topic: 'fnd', what: 'desc' }, { meta: true })).desc.private, t3);
  assert.deepEqual(await r.names(DEL), sorted(b.uid, g), 'cleared public falls back to private');
  void t1;
});
T('find', 'limits of what fnd can: publish, history 403; tags, invitation refused; leave 200 then 304', async () => {
  const { r } = await world();
  assert.equal((await r.req('pub', { topic: 'fnd', content: 'x' })).code, 403);
  assert.equal((await r.req('get', { topic: 'fnd', what: 'data' })).code, 403);
  assert.equal((await r.req('set', { topic: 'fnd', tags: ['aa'] })).code, 405);
  assert.equal((await r.req('leave', { topic: 'fnd' })).code, 200);
  assert.equal((await r.req('leave', { topic: 'fnd' })).code, 304);
});
T(
  'find',
  'fnd cannot be deleted or unsubscribed',
  async () => {
    const { t1, r } = await world();
    assert.ok((await r.req('del', { topic: 'fnd', what: 'topic', hard: true })).code >= 300);
    assert.ok((await r.req('leave', { topic: 'fnd', unsub: true })).code >= 300);
    assert.equal((await r.find(t1)).length, 3);
  },
  { strict: true },
);
T('find', 'ims in the future: rows without public', async () => {
  const { t1, r } = await world();
  await r.find(t1);
  const m = await r.req(
    'get',
    { topic: 'fnd', what: 'sub', sub: { ims: new Date(Date.now() + 5000).toISOString() } },
    { meta: true },
  );
  if (m.sub) for (const s of m.sub) assert.equal(s.public, undefined);
});
T('find', 'deleted groups and accounts are no longer found', async () => {
  const { t1, a, b, g, r } = await world();
  await a.t.delTopic(g, true);
  assert.deepEqual(await r.names(t1), sorted(a.uid, b.uid));
  await b.t.delCurrentUser(true);
  await h.sleep(200);
  assert.deepEqual(await r.names(t1), [a.uid]);
});
T('find', 'anonymous accounts are not found, and need permission like others', async () => {
  const { t1, r } = await world();
  const c = await h.connect();
  await c.t.createAccount('anonymous', null, true, { public: { fn: 'Guest' } });
  const n = (await r.find(t1)).length;
  assert.equal(n, 3);
  const q = await h.raw();
  await q.hi();
  await q.req('login', { scheme: 'token', secret: c.t.getAuthToken().token });
  assert.ok((await q.req('sub', { topic: 'fnd' })).code < 500);
});
T('find', 'tags: Unicode letters and digits; more than maxTagCount are not kept', async () => {
  const { x, a, r } = await world();
  await addTags(a, 'ключ' + x);
  assert.deepEqual(await r.names('ключ' + x), [a.uid]);
  assert.deepEqual(await r.names('КЛЮЧ' + x), [a.uid]);
  const max = a.hi.params.maxTagCount;
  await addTags(a, ...[...Array(max + 5)].map((_, i) => 'n' + i + x)).catch(() => {});
  const n = (await h.part(a, 'me', 'tags')).filter(t => !/^(basic|email|tel):/.test(t)).length;
  assert.ok(n <= max, String(n));
});
T('find', "prefixed tags of one's own (city:berlin) are found exactly", async () => {
  const { x, a, r } = await world();
  await addTags(a, 'city:' + x);
  assert.deepEqual(await r.names('city:' + x), [a.uid]);
  assert.deepEqual(await r.names(x), []);
});
T(
  'tags',
  'tags without any prefix can be added and removed alone',
  async () => {
    const a = await h.user();
    const keep = await h.part(a, 'me', 'tags');
    const x = h.uniq('pl');
    assert.equal((await a.me().setMeta({ tags: [...keep, x] })).params.added, 1);
    assert.ok((await h.part(a, 'me', 'tags')).includes(x));
    assert.equal((await a.me().setMeta({ tags: keep })).params.removed, 1);
    assert.ok(!(await h.part(a, 'me', 'tags')).includes(x));
  },
  { strict: true },
);
T('tags', 'own other session gets {pres tags} on me; no other user does', async () => {
  const { a, b } = await h.pair();
  const a2 = await h.again(a);
  await h.sleep(150);
  const m = a2.mark(),
    mb = b.mark();
  await addTags(a, h.uniq('pt'));
  await a2.pres({ what: 'tags', topic: 'me' }, m);
  await b.none(h.is.pres({ what: 'tags' }), { m: mb, ms: 150 });
});
