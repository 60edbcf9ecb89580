// The SDK with its IndexedDB cache (fake-indexeddb): what a browser keeps over a reload must fit what the server says.
import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
import { IDBFactory } from 'fake-indexeddb';
const { assert, Tinode } = h;
// A fresh "browser": its own database. reload() makes a new SDK instance over the same database, logged in by token.
async function browser(c) {
  const idb = new IDBFactory();
  const open = async () => {
    Tinode.setDatabaseProvider(idb);
    const d = new h.Client({ persist: true, base: c.base.href });
    await d.t.initStorage();
    await d.connect();
    d.login = c.login;
    d.pass = c.pass;
    await d.t.loginToken(c.t.getAuthToken().token);
    return d;
  };
  return {
    open,
    offline: async () => {
      Tinode.setDatabaseProvider(idb);
      const d = new h.Client({ persist: true, base: c.base.href });
      await d.t.initStorage();
      return d;
    },
  };
}
const texts = t => {
  const l = [];
  t.messages(m => l.push(m.content));
  return l;
};
const enter = async (c, uid) => {
  const t = c.t.getTopic(uid);
  await t.loadMessages?.(24).catch?.(() => {});
  await t.subscribe(t.startMetaQuery().withLaterDesc().withLaterSub().withLaterData(24).withLaterDel().build());
  return t;
};

T('cache', 'after a reload only newer messages are fetched', async () => {
  const { a, b, ta } = await h.pair();
  for (let i = 1; i <= 5; i++) await ta.publish('m' + i);
  const br = await browser(b);
  const c = await br.open();
  await c.subMe();
  const t = await enter(c, a.uid);
  await c.ctrl({ code: 208 });
  await h.until(() => texts(t).length === 5);
  await h.sleep(200); // the cache is written behind
  await c.quit();
  await ta.publish('m6');
  const d = await br.open();
  await d.subMe();
  await h.sleep(100);
  const u = await enter(d, a.uid);
  await d.data({ seq: 6 });
  await h.sleep(200);
  assert.deepEqual(
    d.log
      .filter(p => p.data)
      .map(p => p.data.seq)
      .filter(s => s <= 5),
    [],
    'old ones come from the cache',
  );
  assert.deepEqual(texts(u), ['m1', 'm2', 'm3', 'm4', 'm5', 'm6']);
});
T('cache', 'topics, descriptions and members are there before the network', async () => {
  const { a, b, ta } = await h.pair({ fn: 'Ann' }, { fn: 'Bob' });
  const g = await h.group(a, { desc: { public: { fn: 'Club' } } });
  await h.join(b, g.name);
  await ta.publish('hello');
  const br = await browser(b);
  const c = await br.open();
  await c.subMe();
  await enter(c, a.uid);
  await enter(c, g.name);
  await h.sleep(400);
  await c.quit();
  const d = await br.offline();
  await h.sleep(200);
  assert.equal(d.t.getTopic(a.uid).public.fn, 'Ann');
  assert.equal(d.t.getTopic(g.name).public.fn, 'Club');
  assert.equal(d.t.getTopic(a.uid).seq, 1);
  assert.equal(d.t.getTopic(g.name).getType(), 'grp');
});
T('cache', '{get sub} with ims: nothing changed, nothing lost', async () => {
  const { a, b } = await h.pair({ fn: 'Ann' });
  const br = await browser(b);
  const c = await br.open();
  await c.subMe();
  await h.sleep(300);
  await c.quit();
  const d = await br.open();
  await d.subMe();
  await h.sleep(300);
  const l = [];
  d.me().contacts(x => l.push(x.name || x.topic));
  assert.deepEqual(l, [a.uid]);
  assert.equal(d.t.getTopic(a.uid).public.fn, 'Ann');
  assert.ok(d.t.getTopic(a.uid).acs.isWriter());
});
T('cache', 'messages deleted meanwhile by the other side disappear after the reload', async () => {
  const [a, b] = await Promise.all([h.user(), h.user()]);
  const ta = await h.join(a, b.uid);
  await b.pres({ what: 'acs', src: a.uid });
  await (await h.join(b, a.uid, 'JRWPASD')).leave(false);
  for (let i = 1; i <= 6; i++) await ta.publish('m' + i);
  await h.settle();
  const br = await browser(b);
  const c = await br.open();
  await c.subMe();
  await enter(c, a.uid);
  await c.ctrl({ code: 208 });
  await h.sleep(200);
  await c.quit();
  await ta.delMessages([{ low: 2, hi: 4 }], true);
  await h.settle();
  const d = await br.open();
  await d.subMe();
  const u = await enter(d, a.uid);
  await u.getMeta({ what: 'del', del: { since: 1, limit: 100 } }); // the SDK asks by itself only if its cache was read in time
  await h.until(() => assert.deepEqual(texts(u), ['m1', 'm4', 'm5', 'm6']) || true);
});
T('cache', 'a conversation unsubscribed elsewhere is gone after the reload', async () => {
  const { a, b, tb } = await h.pair();
  const br = await browser(b);
  const c = await br.open();
  await c.subMe();
  await enter(c, a.uid);
  await h.sleep(200);
  const m = c.mark();
  await tb.leave(true);
  await c.wait(p => (p.pres && p.pres.what === 'gone') || (p.ctrl && p.ctrl.code === 205), { m });
  await h.sleep(200);
  await c.quit();
  const d = await br.offline();
  await h.sleep(200);
  assert.ok(!d.t.isTopicCached(a.uid) || !d.t.getTopic(a.uid).seq);
});
T('cache', 'edits: after the reload the latest version is shown once', async () => {
  const { a, b, ta } = await h.pair();
  await ta.publish('first');
  const p = ta.createMessage('second');
  p.head = { replace: ':1' };
  await ta.publishMessage(p);
  const br = await browser(b);
  const c = await br.open();
  await c.subMe();
  const t = await enter(c, a.uid);
  await c.ctrl({ code: 208 });
  await h.until(() => assert.deepEqual(texts(t), ['second']) || true);
  await c.quit();
  const d = await br.open();
  await d.subMe();
  const u = await enter(d, a.uid);
  await h.until(() => assert.deepEqual(texts(u), ['second']) || true);
});
T('cache', 'read and received marks survive', async () => {
  const { a, b, ta } = await h.pair();
  await ta.publish('1');
  await ta.publish('2');
  const br = await browser(b);
  const c = await br.open();
  await c.subMe();
  const t = await enter(c, a.uid);
  await c.ctrl({ code: 208 });
  t.noteRead(2);
  await a.info({ what: 'read', seq: 2 });
  await h.sleep(200);
  await c.quit();
  const d = await br.open();
  await d.subMe();
  await h.sleep(200);
  assert.deepEqual([d.t.getTopic(a.uid).read, d.t.getTopic(a.uid).unread], [2, 0]);
});
T('cache', 'a gap in the cached history is filled by ranges', async () => {
  const { a, b, ta } = await h.pair();
  for (let i = 1; i <= 3; i++) await ta.publish('m' + i);
  const br = await browser(b);
  const c = await br.open();
  await c.subMe();
  await enter(c, a.uid);
  await c.ctrl({ code: 208 });
  await h.sleep(200);
  await c.quit();
  for (let i = 4; i <= 40; i++) await ta.publish('m' + i);
  const d = await br.open();
  await d.subMe();
  const t = d.t.getTopic(a.uid);
  await t.subscribe(t.startMetaQuery().withLaterDesc().withData(38, undefined, 3).build());
  await d.data({ seq: 40 });
  await h.sleep(100);
  for (let i = 0; i < 6 && t.msgHasMoreMessages(1, 100, false).length; i++) {
    await t.getMessagesPage(24, t.msgHasMoreMessages(1, 100, false)).catch(() => {});
    await h.sleep(80);
  }
  const l = texts(t);
  assert.ok(l.length >= 3);
  assert.equal(new Set(l).size, l.length, 'none twice');
});
