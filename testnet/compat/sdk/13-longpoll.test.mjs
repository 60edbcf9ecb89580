import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;
const URL_LP = '/v0/channels/lp?apikey=' + h.APIKEY;
const homes = new Map(); // of sessions, where not BASE
const send = (sid, body, o = {}) =>
  h.http(URL_LP + (sid ? '&sid=' + encodeURIComponent(sid) : ''), {
    method: 'POST',
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    base: homes.get(sid),
    ...o,
  });
const poll = sid => h.http(URL_LP + '&sid=' + encodeURIComponent(sid), { base: homes.get(sid) });
const start = async c => {
  const base = c && c.base.origin;
  const r = await send(null, undefined, { base });
  const b = await r.json();
  assert.equal(r.status, 201);
  homes.set(b.ctrl.params.sid, base);
  return b.ctrl.params.sid;
};
// Poll until a packet satisfies pred.
async function until(sid, pred, max = 30) {
  for (let i = 0; i < max; i++) {
    const s = await (await poll(sid)).text();
    if (!s.trim()) continue;
    const p = JSON.parse(s);
    if (pred(p)) return p;
  }
  assert.fail('not seen');
}
const req = async (sid, type, body) => {
  const id = h.uniq('l');
  assert.equal((await send(sid, { [type]: { id, ...body } })).status, 200);
  return await until(sid, p => (p.ctrl && p.ctrl.id === id) || (p.meta && p.meta.id === id));
};

T('long polling', 'the first request is HTTP 201 with a ctrl 201 and params.sid', async () => {
  const r = await send(null);
  assert.equal(r.status, 201);
  const { ctrl } = await r.json();
  assert.equal(ctrl.code, 201);
  assert.ok(ctrl.params.sid.length > 5);
  assert.match(r.headers.get('cache-control') || '', /no-(cache|store)/);
  assert.equal(r.headers.get('access-control-allow-origin'), '*');
});
T('long polling', 'hi, login, sub, get, one packet per poll', async () => {
  const c = await h.user({ me: false, fn: 'Lee' });
  const sid = await start();
  const k = (await req(sid, 'hi', { ver: '0.25', ua: 'lp/1' })).ctrl;
  assert.ok([200, 201].includes(k.code));
  assert.match(k.params.ver, /^0\.2/);
  assert.equal((await req(sid, 'login', { scheme: 'basic', secret: h.b64(c.login + ':' + c.pass) })).ctrl.params.user, c.uid);
  assert.equal((await req(sid, 'sub', { topic: 'me' })).ctrl.code, 200);
  assert.deepEqual((await req(sid, 'get', { topic: 'me', what: 'desc' })).meta.desc.public, { fn: 'Lee' });
});
T('long polling', 'unknown or forged sid: HTTP 403 with ctrl', async () => {
  const r = await send('zzzzzzz', { hi: { id: '1', ver: '0.25' } });
  assert.equal(r.status, 403);
  assert.equal((await r.json()).ctrl.code, 403);
});
T('long polling', 'missing or wrong API key: HTTP 403', async () => {
  for (const u of ['/v0/channels/lp', '/v0/channels/lp?apikey=zzz']) {
    const r = await h.http(u, { method: 'POST' });
    assert.equal(r.status, 403);
    assert.equal((await r.json()).ctrl.code, 403);
  }
});
T('long polling', 'API key in header, cookie and form', async () => {
  for (const o of [
    { headers: { 'X-Tinode-APIKey': h.APIKEY } },
    { headers: { cookie: 'apikey=' + h.APIKEY } },
    { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'apikey=' + h.APIKEY },
  ])
    assert.equal((await h.http('/v0/channels/lp', { method: 'POST', ...o })).status, 201, JSON.stringify(o));
});
T('long polling', 'malformed packet: ctrl 400 is queued, the session lives on', async () => {
  const sid = await start();
  await send(sid, 'hello');
  assert.equal((await until(sid, p => p.ctrl)).ctrl.code, 400);
  assert.ok((await req(sid, 'hi', { ver: '0.25' })).ctrl.code < 300);
});
T('long polling', 'an oversized packet is refused (4xx)', async () => {
  const sid = await start();
  const r = await send(sid, { pub: { topic: 'me', content: 'x'.repeat(300000) } });
  assert.ok(r.status >= 400 && r.status < 500, String(r.status));
});
T('long polling', 'a waiting poll is answered as soon as something arrives', async () => {
  const { a, b, ta } = await h.pair();
  const sid = await start(b);
  await req(sid, 'hi', { ver: '0.25' });
  await req(sid, 'login', { scheme: 'token', secret: b.t.getAuthToken().token });
  await req(sid, 'sub', { topic: a.uid });
  const t0 = Date.now();
  const w = until(sid, p => p.data);
  await h.sleep(400);
  await ta.publish('ding');
  const d = (await w).data;
  assert.deepEqual([d.seq, d.content], [1, 'ding']);
  assert.ok(Date.now() - t0 < 3000);
});
T(
  'long polling',
  'the SDK with transport lp: connect, login, chat, presence, notes',
  async () => {
    const { a, b, ta } = await h.pair();
    const c = await h.connect({ transport: 'lp', base: b.base.href });
    const r = await c.t.loginToken(b.t.getAuthToken().token);
    assert.equal(r.params.user, b.uid);
    await c.subMe();
    const t = await h.join(c, a.uid);
    await ta.publish('hello lp');
    assert.equal((await c.data({ seq: 1 }, 0, 8000)).content, 'hello lp');
    const m = a.mark();
    t.noteRead(1);
    await a.info({ what: 'read', from: b.uid }, m);
    assert.equal((await t.publish('hi back')).params.seq, 2);
    assert.equal((await a.data({ seq: 2 }, m)).from, b.uid);
    c.t.disconnect();
  },
  { timeout: 40000 },
);
T('long polling', 'a user is online through it', async () => {
  const { a, b } = await h.pair();
  b.close();
  await a.pres({ what: 'off', src: b.uid }, 0, 8000);
  const m = a.mark();
  const sid = await start(b);
  await req(sid, 'hi', { ver: '0.25', ua: 'lp/3' });
  await req(sid, 'login', { scheme: 'basic', secret: h.b64(b.login + ':' + b.pass) });
  await req(sid, 'sub', { topic: 'me' });
  await a.pres({ what: 'on', src: b.uid }, m);
});
T('http', '/v0/channels without an upgrade is 4xx; unknown paths under /v0 are 404', async () => {
  const s = (await h.http('/v0/channels?apikey=' + h.APIKEY)).status;
  assert.ok(s >= 400 && s < 500, String(s));
  assert.equal((await h.http('/v0/nothing?apikey=' + h.APIKEY)).status, 404);
});
T('http', 'API key for the WebSocket in a cookie', async () => {
  const q = new h.Raw({ noKey: true });
  await q.open({ cookie: 'apikey=' + h.APIKEY });
  assert.equal((await q.hi()).code, 201);
  q.close();
});
