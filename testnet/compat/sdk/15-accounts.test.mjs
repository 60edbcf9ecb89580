import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;
const validators = c => c.hi.params.reqCred && c.hi.params.reqCred.auth; // absent: the server has none, or none that are required
const setCred = (c, q) => c.me().setMeta({ cred: { meth: 'email', ...q } });
const creds = async c => (await h.part(c, 'me', 'cred')) || [];
const address = () => h.uniq('em') + '@example.org';

T('delete account', 'own: 200, all sessions get 205 evicted and are closed, login is over', async () => {
  const c = await h.user();
  const d = await h.again(c);
  const md = d.mark();
  const r = await h.rawOf(c);
  assert.equal((await r.req('del', { what: 'user', hard: true })).code, 200);
  await r.wait(p => p.ctrl && p.ctrl.code === 205);
  await d.ctrl({ code: 205, text: 'evicted' }, md);
  for (let i = 0; i < 30 && !(d.disconnected && r.closed); i++) await h.sleep(100);
  assert.ok(d.disconnected && r.closed, 'sockets closed');
  const e = await h.connect();
  await h.fails(e.t.loginBasic(c.login, c.pass), 401);
});
T('delete account', 'token of a deleted account no longer works', async () => {
  const c = await h.user();
  const { token } = c.t.getAuthToken();
  const k = String(token);
  await c.t.delCurrentUser(true);
  await h.sleep(200);
  const e = await h.connect();
  await assert.rejects(e.t.loginToken(k), x => [401, 404].includes(x.code));
});
T('delete account', "another user's is 403", async () => {
  const [a, b] = await Promise.all([h.user(), h.user()]);
  const r = await h.rawOf(a);
  assert.equal((await r.req('del', { what: 'user', user: b.uid, hard: true })).code, 403);
  assert.equal((await b.me().getMeta({ what: 'desc' })).topic, 'me');
});
T('delete account', 'the login name is free again after a hard deletion', async () => {
  const c = await h.user();
  const { uid } = c;
  await c.t.delCurrentUser(true);
  await h.sleep(200);
  const d = await h.user({ login: c.login, pass: 'another99', me: false });
  assert.notEqual(d.uid, uid);
});
T('delete account', 'conversation partner: {pres gone} on me, then 404 for the user', async () => {
  const { a, b, ta } = await h.pair();
  await ta.publish('x');
  await b.data({ seq: 1 });
  const m = b.mark(),
    { uid } = a;
  await a.t.delCurrentUser(true);
  await b.pres({ what: 'gone', topic: 'me', src: uid }, m);
  await h.fails(b.t.subscribe(uid), 404);
  const r = await h.rawOf(b);
  assert.equal((await r.req('get', { topic: uid, what: 'desc' })).code, 404);
});
T('delete account', 'his groups end ({pres gone}), in others he is a member no more and his messages stay', async () => {
  const { o, us, name } = await h.room(1);
  const u = us[0];
  const g = await h.group(u.c);
  await h.join(o, g.name);
  await u.t.publish('left behind');
  await o.data({ seq: 1 });
  const m = o.mark(),
    { uid } = u.c;
  await u.c.t.delCurrentUser(true);
  await o.pres({ what: 'gone', topic: 'me', src: g.name }, m);
  await o.pres({ what: 'off', topic: name, src: uid }, m);
  assert.deepEqual(Object.keys(await h.members(o, name)), [o.uid]);
  const k = o.mark();
  await o.t.getMeta(name, { what: 'data' });
  assert.deepEqual(
    o
      .since(k)
      .filter(p => p.data)
      .map(p => [p.data.content, p.data.from]),
    [['left behind', uid]],
  );
  await h.fails(o.t.subscribe(g.name), 404);
});
T('account state', 'only root may change it (403); unknown user 403 or 404', async () => {
  const [a, b] = await Promise.all([h.user(), h.user()]);
  const r = await h.rawOf(a);
  assert.equal((await r.req('acc', { status: 'susp' })).code, 403);
  assert.equal((await r.req('acc', { user: b.uid, status: 'susp' })).code, 403);
  assert.ok([400, 403, 404].includes((await r.req('acc', { user: 'usrAAAAAAAAAAB', status: 'ok' })).code));
});
T('account', 'on behalf of another (extra.obo) is 403 for ordinary users', async () => {
  const { a, b } = await h.pair();
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  const m = r.mark();
  r.send({ pub: { id: 'obo', topic: b.uid, content: 'x' }, extra: { obo: b.uid } });
  assert.equal((await r.wait(p => p.ctrl, 4000, m)).ctrl.code, 403);
});
T('account', 'creation details: defacs, private, tags; trusted is not taken', async () => {
  const c = await h.user({ defacs: { auth: 'JRW', anon: 'JR' }, private: { k: 1 }, tags: ['one'], me: false });
  const r = await h.rawOf(c);
  const d = (await r.req('get', { topic: 'me', what: 'desc' }, { meta: true })).desc;
  assert.deepEqual([d.private, d.trusted], [{ k: 1 }, undefined]);
  assert.match(d.defacs.auth, /^JRW/);
  assert.match(d.defacs.anon, /^JRA?$/);
});
T(
  'account',
  'refused: no scheme 400, scheme that cannot create, restricted tag 403 what=tags, short or empty password 422',
  async () => {
    const r = await h.raw();
    await r.hi();
    const acc = b => r.req('acc', { user: 'new', ...b });
    assert.equal((await acc({})).code, 400);
    assert.ok((await acc({ scheme: 'token', secret: h.b64('x') })).code >= 400);
    const t = await acc({ scheme: 'basic', secret: h.b64(h.uniq() + ':password1'), tags: ['basic:x'] });
    assert.deepEqual([t.code, t.params.what], [403, 'tags']);
    for (const p of ['', 'x']) assert.equal((await acc({ scheme: 'basic', secret: h.b64(h.uniq() + ':' + p) })).code, 422);
    assert.equal((await acc({ scheme: 'basic', secret: h.b64('nocolon') })).code, 400);
  },
);
T('account', 'too long login 422 with params.what=auth', async () => {
  const c = await h.connect();
  const e = await h.fails(c.t.createAccountBasic('l'.repeat(120), 'password1', {}), 422);
  void e;
});
T('account', 'passwords with colon, spaces and any Unicode', async () => {
  const pass = 'pä:ss wörd 🙂 :';
  const c = await h.connect();
  const login = h.uniq();
  const need = validators(c);
  const r = await c.t.createAccount('basic', h.b64(login + ':' + pass), false, {
    cred: need ? h.Tinode.credential('email', login + '@example.com') : undefined,
  });
  assert.ok(r.code < 300);
  const d = await h.raw();
  await d.hi();
  assert.ok((await d.req('login', { scheme: 'basic', secret: h.b64(login + ':' + pass) })).code <= 300);
  assert.equal((await d.req('login', { scheme: 'basic', secret: h.b64(login + ':' + pass + 'x') })).code, need ? 401 : 409);
});
T(
  'account',
  'a new password ends old tokens',
  async () => {
    const c = await h.user({ me: false });
    const { token } = c.t.getAuthToken();
    await c.t.updateAccountBasic(null, '', 'brandnew99');
    const d = await h.connect();
    await h.fails(d.t.loginToken(token), 401);
  },
  { strict: true },
);
T('account', 'changing the login to a taken one is 409', async () => {
  const [a, b] = await Promise.all([h.user({ me: false }), h.user({ me: false })]);
  await h.fails(a.t.updateAccountBasic(null, b.login, 'whatever99'), 409);
  const d = await h.connect();
  assert.equal((await d.t.loginBasic(a.login, a.pass)).code, 200);
});
T('login', 'malformed secrets are 400 and the session lives', async () => {
  const r = await h.raw();
  await r.hi();
  for (const q of [
    { scheme: 'basic', secret: h.b64('nocolon') },
    { scheme: 'basic', secret: '' },
    { scheme: 'token', secret: h.b64('') },
    { scheme: 'reset', secret: h.b64('basic:email') },
  ])
    assert.equal((await r.req('login', q)).code, 400, JSON.stringify(q));
  const m = r.mark();
  r.send({ login: { id: 'x', scheme: 'basic', secret: '***' } });
  assert.equal((await r.wait(p => p.ctrl, 4000, m)).ctrl.code, 400);
  assert.equal((await r.req('login', { scheme: 'basic', secret: h.b64(h.uniq() + ':wrong') })).code, 401);
});
T('login', 'token login keeps the level and renews the token', async () => {
  const c = await h.user({ me: false });
  const d = await h.connect();
  const r = await d.t.loginToken(c.t.getAuthToken().token);
  assert.equal(r.params.authlvl, 'auth');
  assert.ok(r.params.token && r.params.expires > new Date());
  const e = await h.connect();
  assert.equal((await e.t.loginToken(r.params.token)).code, 200);
});

T('credentials', 'server with required e-mail: sign-up without one is 422, garbage 400', async t => {
  const c = await h.connect();
  if (!validators(c)) return t.skip('no required credentials');
  const r = await h.raw();
  await r.hi();
  const acc = cred => r.req('acc', { user: 'new', scheme: 'basic', secret: h.b64(h.uniq() + ':password1'), login: true, cred });
  assert.equal((await acc(undefined)).code, 422);
  assert.equal((await acc([{ meth: 'email', val: 'garbage' }])).code, 400);
});
T('credentials', 'unconfirmed account: password login is 300 again; wrong code not 200; right code logs in', async t => {
  const c = await h.connect();
  if (!validators(c)) return t.skip('no required credentials');
  const login = h.uniq();
  await c.t.createAccountBasic(login, 'password1', { cred: h.Tinode.credential('email', login + '@example.com') });
  const r = await h.raw();
  await r.hi();
  const secret = h.b64(login + ':password1');
  const k = await r.req('login', { scheme: 'basic', secret });
  assert.deepEqual([k.code, k.text, k.params.cred], [300, 'validate credentials', ['email']]);
  assert.equal((await r.req('sub', { topic: 'me' })).code, 401);
  assert.notEqual(
    (await r.req('login', { scheme: 'token', secret: k.params.token, cred: [{ meth: 'email', resp: '999999' }] })).code,
    200,
  );
  const ok = await r.req('login', { scheme: 'basic', secret, cred: [{ meth: 'email', resp: h.CODE }] });
  assert.equal(ok.code, 200);
  assert.equal((await r.req('sub', { topic: 'me' })).code, 200);
});
T('credentials', 'asking for the code again (same address) is accepted; another address replaces the pending one', async t => {
  const c = await h.user();
  if (!validators(c)) return t.skip('no required credentials');
  const [x, y] = [address(), address()];
  for (const val of [x, x]) assert.equal((await setCred(c, { val })).code, 200);
  assert.deepEqual(
    (await creds(c)).filter(k => !k.done).map(k => k.val),
    [x],
  );
  await setCred(c, { val: y });
  assert.deepEqual(
    (await creds(c)).filter(k => !k.done).map(k => k.val),
    [y],
  );
});
T('credentials', 'wrong codes are 406; too many of them and even the right one is refused; a new request helps', async t => {
  const c = await h.user();
  if (!validators(c)) return t.skip('no required credentials');
  await setCred(c, { val: address() });
  for (const resp of ['000001', '000002', '000003', '000004'])
    await assert.rejects(setCred(c, { resp }), e => [406, 422].includes(e.code));
  await h.fails(setCred(c, { resp: h.CODE }), 422);
  const z = address();
  await setCred(c, { val: z });
  assert.equal((await setCred(c, { resp: h.CODE })).code, 200);
  assert.ok((await creds(c)).find(k => k.val === z && k.done));
});
T('credentials', 'confirmed: {pres tags} on me, tag email:… ; stored in lower case', async t => {
  const c = await h.user();
  if (!validators(c)) return t.skip('no required credentials');
  const x = address();
  await setCred(c, { val: x.toUpperCase() });
  const m = c.mark();
  await setCred(c, { resp: h.CODE });
  await c.pres({ what: 'tags', topic: 'me' }, m);
  assert.ok((await creds(c)).find(k => k.val === x && k.done));
  assert.ok((await h.part(c, 'me', 'tags')).includes('email:' + x));
});
T('credentials', 'the only required one cannot be deleted (422), unknown 304; with another confirmed it can', async t => {
  const c = await h.user();
  if (!validators(c)) return t.skip('no required credentials');
  const r = await h.rawOf(c);
  const first = c.login + '@example.com';
  const del = val => r.req('del', { topic: 'me', what: 'cred', cred: { meth: 'email', val } });
  assert.equal((await del(first)).code, 422);
  assert.equal((await del('nobody@example.com')).code, 304);
  assert.equal((await r.req('del', { topic: 'me', what: 'cred' })).code, 400);
  await setCred(c, { val: address() });
  await setCred(c, { resp: h.CODE });
  assert.equal((await del(first)).code, 200);
  assert.equal((await creds(c)).length, 1);
});
T('credentials', 'an unconfirmed address blocks nobody', async t => {
  const [c, d] = await Promise.all([h.user(), h.user()]);
  if (!validators(c)) return t.skip('no required credentials');
  const x = address();
  await setCred(c, { val: x });
  assert.equal((await setCred(d, { val: x })).code, 200);
  assert.equal((await setCred(d, { resp: h.CODE })).code, 200);
});
T('credentials', 'a server without validators accepts and ignores a credential at sign-up', async t => {
  const c = await h.connect();
  if (validators(c)) return t.skip('the server requires credentials');
  const login = h.uniq();
  const r = await c.t.createAccountBasic(login, 'password1', { cred: h.Tinode.credential('email', login + '@example.com') });
  assert.equal(r.code, 200);
});
T('password reset', 'the same answer whether the address exists or not; session stays unauthenticated', async t => {
  const c = await h.user({ me: false });
  if (!validators(c)) return t.skip('no required credentials');
  const r = await h.raw();
  await r.hi();
  const ask = a => r.req('login', { scheme: 'reset', secret: h.b64('basic:email:' + a) });
  const [x, y] = [await ask(c.login + '@example.com'), await ask(address())];
  assert.deepEqual([x.code, x.text, x.params], [y.code, y.text, y.params]);
  assert.ok(x.code < 400);
  assert.equal((await r.req('sub', { topic: 'me' })).code, 401);
});
T('password reset', 'unknown scheme or method is refused', async t => {
  const c = await h.connect();
  if (!validators(c)) return t.skip('no required credentials');
  const r = await h.raw();
  await r.hi();
  for (const s of ['zzz:email:a@example.com', 'basic:zzz:a@example.com'])
    assert.ok((await r.req('login', { scheme: 'reset', secret: h.b64(s) })).code >= 400, s);
});
T('password reset', 'a wrong code changes nothing (401); the right one sets the password', async t => {
  const c = await h.user({ me: false });
  if (!validators(c)) return t.skip('no required credentials');
  const addr = c.login + '@example.com';
  const r = await h.raw();
  await r.hi();
  await r.req('login', { scheme: 'reset', secret: h.b64('basic:email:' + addr) });
  const set = (code, a = addr) =>
    r.req('acc', { scheme: 'basic', secret: h.b64(':resetted99'), tmpscheme: 'code', tmpsecret: h.b64(`${code}:email:${a}`) });
  assert.equal((await set('000001')).code, 401);
  assert.equal((await set(h.CODE, address())).code, 401);
  const k = await set(h.CODE);
  const d = await h.connect();
  if (k.code >= 300) {
    assert.equal((await d.t.loginBasic(c.login, c.pass)).code, 200);
    return t.skip('the server sends a random code, which only the mailbox sees');
  }
  assert.equal((await d.t.loginBasic(c.login, 'resetted99')).params.user, c.uid);
  const e = await h.connect();
  await h.fails(e.t.loginBasic(c.login, c.pass), 401);
});
T('password reset', 'a code is good once', async t => {
  const c = await h.user({ me: false });
  if (!validators(c)) return t.skip('no required credentials');
  const r = await h.raw();
  await r.hi();
  await r.req('login', { scheme: 'reset', secret: h.b64(`basic:email:${c.login}@example.com`) });
  const set = p =>
    r.req('acc', {
      scheme: 'basic',
      secret: h.b64(':' + p),
      tmpscheme: 'code',
      tmpsecret: h.b64(`${h.CODE}:email:${c.login}@example.com`),
    });
  if ((await set('firstnew99')).code >= 300) return t.skip('the server sends a random code');
  assert.ok((await set('secondnew99')).code >= 400);
  const d = await h.connect();
  assert.equal((await d.t.loginBasic(c.login, 'firstnew99')).code, 200);
});
