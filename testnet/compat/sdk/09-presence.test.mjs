import { T, together } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;
// Two users with a conversation; b is offline (his last session is closed) or has never been on me, as asked.
const login = async (c, o = {}) => {
  const d = await h.connect({ base: c.base.href, ...o });
  d.login = c.login;
  d.pass = c.pass;
  await d.t.loginToken(c.t.getAuthToken().token);
  return d;
};
const onMe = (src, what) => h.is.pres({ topic: 'me', src, what });
const quietPair = async (...o) => {
  const p = await h.pair(...o);
  await h.sleep(250);
  return p;
};

together(8, () => {
  T('presence', 'first attach to me: partners get {pres on} with ua, once; oneself gets on for online partners', async () => {
    const { a, b } = await quietPair();
    const c = await h.user();
    const tc = await h.join(c, a.uid);
    await tc.publish('hi');
    await h.sleep(100);
    c.close();
    await a.pres({ what: 'off', src: c.uid }, 0, 7000);
    const m = a.mark(),
      mb = b.mark();
    const c2 = await login(c, { ua: 'again/2' });
    await h.sleep(150);
    assert.equal(a.allPres({ what: 'on', src: c.uid }, m).length, 0, 'login alone says nothing');
    await c2.subMe();
    const p = await a.pres({ what: 'on', src: c.uid }, m);
    assert.equal(p.topic, 'me');
    assert.match(p.ua, /again\/2/);
    await c2.pres({ what: 'on', src: a.uid, topic: 'me' });
    await h.sleep(300);
    assert.equal(a.allPres({ what: 'on', src: c.uid }, m).length, 1);
    assert.ok(!b.since(mb).some(q => q.pres && q.pres.src === c.uid), 'strangers learn nothing');
  });
  T('presence', '{pres off} comes about 4 s after the last session left me, with ua; seen is recorded', async () => {
    const { a, b } = await quietPair();
    const m = a.mark();
    const t0 = Date.now();
    b.close();
    const p = await a.pres({ what: 'off', src: b.uid, topic: 'me' }, m, 8000);
    const dt = Date.now() - t0;
    assert.ok(dt >= 2500 && dt <= 7000, `after ${dt} ms`);
    assert.ok(p.ua);
    const r = await h.rawOf(a);
    const s = (await r.req('get', { topic: 'me', what: 'sub', sub: { topic: b.uid } }, { meta: true })).sub[0];
    assert.ok(!s.online && s.seen && s.seen.when && s.seen.ua);
    assert.ok(Math.abs(new Date(s.seen.when) - t0) < 8000);
  });
  T('presence', 'leaving me without closing is going offline too', async () => {
    const { a, b } = await quietPair();
    const m = a.mark();
    await b.me().leave(false);
    await a.pres({ what: 'off', src: b.uid }, m, 8000);
  });
  T('presence', 'a short absence (under 4 s) is not reported at all', async () => {
    const { a, b } = await quietPair();
    const m = a.mark();
    b.close();
    await h.sleep(1200);
    const b2 = await login(b);
    await b2.subMe();
    await a.none(p => p.pres && p.pres.src === b.uid && ['on', 'off'].includes(p.pres.what), { m, ms: 5000 });
  });
  T('presence', 'several sessions of a user: off only after the last', async () => {
    const { a, b } = await quietPair();
    const b2 = await h.again(b);
    await h.sleep(200);
    const m = a.mark();
    assert.equal(a.allPres({ what: 'on', src: b.uid }, m).length, 0, 'the second session says nothing');
    b.close();
    await a.none(onMe(b.uid, 'off'), { m, ms: 5200 });
    b2.close();
    await a.pres({ what: 'off', src: b.uid }, m, 8000);
    await h.sleep(200);
    assert.equal(a.allPres({ what: 'off', src: b.uid }, m).length, 1);
  });
  T('presence', "each of the partner's sessions gets one notice", async () => {
    const { a, b } = await quietPair();
    const a2 = await h.again(a);
    await h.sleep(150);
    const m = a.mark(),
      m2 = a2.mark();
    b.close();
    await a.pres({ what: 'off', src: b.uid }, m, 8000);
    await a2.pres({ what: 'off', src: b.uid }, m2, 8000);
    await h.sleep(200);
    for (const [c, k] of [
      [a, m],
      [a2, m2],
    ])
      assert.equal(c.allPres({ what: 'off', src: b.uid }, k).length, 1);
  });
  T('presence', 'online flag on me follows; SDK topic.online too', async () => {
    const { a, b, ta } = await quietPair();
    const r = await h.rawOf(a);
    const on = async () =>
      !!(await r.req('get', { topic: 'me', what: 'sub', sub: { topic: b.uid } }, { meta: true })).sub[0].online;
    assert.equal(await on(), true);
    assert.ok(a.t.getTopic(b.uid).online);
    const m = a.mark();
    b.close();
    await a.pres({ what: 'off', src: b.uid }, m, 8000);
    await h.sleep(30);
    assert.equal(await on(), false);
    assert.ok(!a.t.getTopic(b.uid).online);
    void ta;
  });
  T(
    'presence',
    'another user agent in use: {pres ua} to partners within about 7 s, not at once',
    async () => {
      const { a, b } = await quietPair();
      const b2 = await login(b, { ua: 'phone/7' });
      await b2.subMe();
      const m = a.mark();
      await b2.me().getMeta({ what: 'desc' });
      const p = await a.pres({ what: 'ua', src: b.uid, topic: 'me' }, m, 9000);
      assert.match(p.ua, /phone\/7/);
    },
    { timeout: 20000 },
  );
  T('presence', "muted (no P): partner's comings and goings are not told", async () => {
    const { a, b, ta } = await quietPair();
    await ta.setMeta({ sub: { mode: 'JRWA' } });
    await h.sleep(100);
    const m = a.mark();
    b.close();
    await a.none(onMe(b.uid, 'off'), { m, ms: 5500 });
  });
  T(
    'presence',
    "unmuted: the partner's coming is told again",
    async () => {
      const { a, b, ta } = await quietPair();
      await ta.setMeta({ sub: { mode: 'JRWA' } });
      await h.sleep(100);
      b.close();
      await h.sleep(4800);
      const m = a.mark();
      await ta.setMeta({ sub: { mode: 'JRWPA' } });
      const b2 = await login(b);
      await b2.subMe();
      await a.pres({ what: 'on', src: b.uid }, m);
    },
    { strict: true },
  );
  T('presence', 'P taken away by the other side: nothing is told to him either', async () => {
    const { a, b, ta } = await quietPair();
    await ta.setMeta({ sub: { user: b.uid, mode: 'JRWA' } });
    await b.pres({ what: 'off', src: a.uid });
    const m = b.mark();
    a.close();
    await h.sleep(4800);
    const a2 = await login(a);
    await a2.subMe();
    await b.none(p => p.pres && p.pres.src === a.uid && ['on', 'off', 'ua'].includes(p.pres.what), { m, ms: 400 });
  });
  T('presence', 'own P on me switched off: offline to all, {pres} silent; on again', async () => {
    const { a, b, tb } = await quietPair();
    let m = a.mark(),
      mb = b.mark();
    const t = b.me();
    await t.setMeta({ sub: { mode: 'JS' } });
    await a.pres({ what: 'off', src: b.uid }, m);
    await tb.leave(false);
    await h.sleep(50);
    mb = b.mark();
    await a.t.publish(b.uid, 'x');
    await b.none(p => p.pres, { m: mb, ms: 300 });
    m = a.mark();
    await t.setMeta({ sub: { mode: 'JPS' } });
    await a.pres({ what: 'on', src: b.uid }, m);
  });
  T(
    'presence',
    'group: {pres off} on me about 4 s after the last attached session left, {pres on} when one attaches',
    async () => {
      const { o, g, us, name } = await h.room(1);
      const z = us[0];
      await z.t.leave(false);
      await h.sleep(100);
      let m = z.c.mark();
      await g.leave(false);
      await z.c.pres({ what: 'off', src: name, topic: 'me' }, m, 8000);
      m = z.c.mark();
      await h.join(o, name);
      await z.c.pres({ what: 'on', src: name, topic: 'me' }, m);
    },
  );
  T('presence', 'a blocked user sees neither going nor messages', async () => {
    const { a, b, ta } = await quietPair();
    await ta.setMeta({ sub: { user: b.uid, mode: 'N' } });
    await h.sleep(200);
    const m = b.mark();
    a.close();
    await b.none(p => p.pres && p.pres.src === a.uid && p.pres.what !== 'upd', { m, ms: 5000 });
  });
  T('presence', 'public changed: {pres upd} to partners, own other sessions (topic me), not to strangers', async () => {
    const { a, b } = await quietPair();
    const z = await h.user();
    const a2 = await h.again(a);
    await h.sleep(150);
    const [mb, mz, m2] = [b.mark(), z.mark(), a2.mark()];
    await a.me().setMeta({ desc: { public: { fn: 'Neo' } } });
    await b.pres({ what: 'upd', topic: 'me', src: a.uid }, mb);
    await a2.wait(p => p.pres && p.pres.what === 'upd' && p.pres.topic === 'me' && (!p.pres.src || p.pres.src === 'me'), {
      m: m2,
    });
    await z.none(p => p.pres, { m: mz, ms: 150 });
    assert.equal(b.allPres({ what: 'upd' }, mb).length, 1);
  });
  T('presence', 'private of a conversation changed: only own other sessions', async () => {
    const { a, b, ta } = await quietPair();
    const a2 = await h.again(a);
    await h.sleep(150);
    const mb = b.mark(),
      m2 = a2.mark();
    await ta.setMeta({ desc: { private: { comment: 'x' } } });
    await a2.pres({ what: 'upd', topic: 'me', src: b.uid }, m2);
    await b.none(p => p.pres, { m: mb, ms: 150 });
  });
  T('presence', 'timestamps: {pres} has none', async () => {
    const { a, b } = await quietPair();
    await b.t.publish(a.uid, 'x');
    assert.ok(a.log.filter(p => p.pres).every(p => p.pres.ts === undefined));
    assert.ok(a.log.some(p => p.pres));
  });
  T('background', 'a bkg session gets its data like any other', async () => {
    const { a, b, ta } = await quietPair();
    await ta.publish('x');
    const r = await h.raw({ base: b.base.href });
    await r.hi({ bkg: true });
    await r.auth(b);
    assert.equal((await r.req('sub', { topic: 'me', bkg: true, get: { what: 'desc' } })).code, 200);
    await r.wait(p => p.meta && p.meta.desc);
    assert.equal((await r.req('sub', { topic: a.uid, bkg: true, get: { what: 'data' } })).code, 200);
    await r.wait(p => p.data && p.data.seq === 1);
  });
  T(
    'background',
    'attached longer than about 5 s it counts as online',
    async () => {
      const { a, b } = await quietPair();
      b.close();
      await a.pres({ what: 'off', src: b.uid }, 0, 8000);
      const m = a.mark();
      const r = await h.raw({ base: b.base.href });
      await r.hi({ bkg: true });
      await r.auth(b);
      await r.req('sub', { topic: 'me', bkg: true });
      await a.pres({ what: 'on', src: b.uid }, m, 9000);
    },
    { timeout: 25000 },
  );
  T(
    'background',
    'gone within 2 s: nobody is told',
    async () => {
      const { a, b } = await quietPair();
      b.close();
      await a.pres({ what: 'off', src: b.uid }, 0, 8000);
      const m = a.mark();
      const r = await h.raw({ base: b.base.href });
      await r.hi();
      await r.auth(b);
      await r.req('sub', { topic: 'me', bkg: true });
      await h.sleep(1500);
      r.close();
      await a.none(p => p.pres && p.pres.src === b.uid, { m, ms: 6000 });
    },
    { strict: true, timeout: 25000 },
  );
});
