import { T, together } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert, Drafty } = h;
// A conversation where a calls b, with second devices a2 and b2 on me only; null if the server has no calls.
async function scene(t) {
  const p = await h.pair();
  if (!p.a.hi.params.iceServers) {
    t.skip('the server announces no ICE servers');
    return null;
  }
  const [a2, b2] = await Promise.all([h.again(p.a), h.again(p.b)]);
  await h.sleep(150);
  return { ...p, a2, b2 };
}
const CONTENT = { txt: ' ', fmt: [{ at: 0, len: 1, key: 0 }], ent: [{ tp: 'VC', data: {} }] };
const ring = async (s, head = {}) => {
  const m = s.ta.createMessage('x');
  m.content = CONTENT;
  m.head = { webrtc: 'started', mime: 'text/x-drafty', ...head };
  const c = await s.a.t.publishMessage(m);
  assert.equal(c.code, 202);
  return c.params.seq;
};
const note = (c, topic, event, seq, payload) => c.t.videoCall(topic, seq, event, payload);
const state = (c, webrtc, m = 0, ms) =>
  c.wait(p => p.data && p.data.head && p.data.head.webrtc === webrtc, { m, ms, what: 'data webrtc=' + webrtc }).then(p => p.data);

T('calls', 'without ICE servers in the configuration a call is answered 501', async t => {
  const { a, ta } = await h.pair();
  if (a.hi.params.iceServers) return t.skip('the server has ICE servers');
  const p = ta.createMessage('x');
  p.head = { webrtc: 'started' };
  await h.fails(a.t.publishMessage(p), 501);
});
T('calls', '{hi} announces iceServers and callTimeout', async t => {
  const c = await h.connect();
  if (!c.hi.params.iceServers) return t.skip('no calls');
  assert.ok(Array.isArray(c.hi.params.iceServers[0].urls));
  assert.ok(c.hi.params.callTimeout > 0);
  assert.deepEqual(c.t.getServerParam('iceServers'), c.hi.params.iceServers);
});
together(6, () => {
  T('calls', "invitation: the callee's attached session gets {data webrtc=started}, the detached one {pres msg}", async t => {
    const s = await scene(t);
    if (!s) return;
    const seq = await ring(s, { aonly: true });
    const d = await state(s.b, 'started');
    assert.deepEqual([d.seq, d.from, d.head.aonly, d.content], [seq, s.a.uid, true, CONTENT]);
    const p = await s.b2.pres({ what: 'msg', src: s.a.uid });
    assert.deepEqual([p.seq, p.act], [seq, s.a.uid]);
  });
  T('calls', "ringing reaches only the caller's session; also from a detached device", async t => {
    const s = await scene(t);
    if (!s) return;
    const seq = await ring(s);
    await state(s.b, 'started');
    let m = s.a.mark();
    const m2 = s.a2.mark();
    note(s.b, s.a.uid, 'ringing', seq);
    const i = await s.a.info({ what: 'call', event: 'ringing' }, m);
    assert.deepEqual([i.topic, i.from, i.seq], [s.b.uid, s.b.uid, seq]);
    m = s.a.mark();
    note(s.b2, s.a.uid, 'ringing', seq);
    await s.a.info({ event: 'ringing' }, m);
    await s.a2.none(h.is.info({ event: 'ringing' }), { m: m2, ms: 150 });
  });
  T(
    'calls',
    "accepted: {data} replaces the invitation, from=caller, sender=callee, content and mime kept; info accept to the caller and the callee's other devices",
    async t => {
      const s = await scene(t);
      if (!s) return;
      const seq = await ring(s);
      await state(s.b, 'started');
      const m = s.a.mark(),
        m2 = s.b2.mark();
      note(s.b, s.a.uid, 'accept', seq);
      const d = await state(s.a, 'accepted', m);
      assert.deepEqual(
        [d.seq, d.from, d.head, d.content],
        [seq + 1, s.a.uid, { mime: 'text/x-drafty', replace: ':' + seq, sender: s.b.uid, webrtc: 'accepted' }, CONTENT].map(
          x => x,
        ),
      );
      await state(s.b, 'accepted');
      await s.a.info({ event: 'accept', seq }, m);
      const i = await s.b2.info({ event: 'accept' }, m2);
      assert.deepEqual([i.topic, i.src, i.seq], ['me', s.a.uid, seq]);
    },
  );
  T('calls', 'offer, answer and ICE candidates pass between the two sessions only, with payload', async t => {
    const s = await scene(t);
    if (!s) return;
    const seq = await ring(s);
    await state(s.b, 'started');
    note(s.b, s.a.uid, 'accept', seq);
    await s.a.info({ event: 'accept' });
    const b3 = await h.again(s.b);
    await h.join(b3, s.a.uid);
    const m3 = b3.mark();
    note(s.a, s.b.uid, 'offer', seq, { sdp: 'o', deep: [1, null] });
    let i = await s.b.info({ event: 'offer' });
    assert.deepEqual([i.topic, i.from, i.seq, i.payload], [s.a.uid, s.a.uid, seq, { sdp: 'o', deep: [1, null] }]);
    note(s.b, s.a.uid, 'answer', seq, { sdp: 'a' });
    i = await s.a.info({ event: 'answer' });
    assert.deepEqual(i.payload, { sdp: 'a' });
    for (const [x, y] of [
      ['a', 'b'],
      ['b', 'a'],
    ]) {
      note(s[x], s[y].uid, 'ice-candidate', seq, { c: x });
      assert.deepEqual((await s[y].info({ event: 'ice-candidate' })).payload, { c: x });
    }
    assert.ok(!b3.since(m3).some(p => p.info && ['offer', 'answer', 'ice-candidate'].includes(p.info.event)));
  });
  T('calls', 'hang-up after acceptance: finished with duration; {info hang-up} to both', async t => {
    const s = await scene(t);
    if (!s) return;
    const seq = await ring(s);
    await state(s.b, 'started');
    note(s.b, s.a.uid, 'accept', seq);
    await s.a.info({ event: 'accept' });
    await h.sleep(300);
    note(s.a, s.b.uid, 'hang-up', seq);
    const d = await state(s.b, 'finished');
    assert.equal(d.head.replace, ':' + seq);
    assert.ok(
      Number.isInteger(d.head['webrtc-duration']) && d.head['webrtc-duration'] >= 250 && d.head['webrtc-duration'] < 10000,
    );
    assert.equal(d.from, s.a.uid);
    await s.b.info({ event: 'hang-up', seq });
    await s.a.info({ event: 'hang-up', seq });
    const shown = [];
    s.tb.messages(m => shown.push([m.seq, m.head.webrtc]));
    assert.deepEqual(
      shown.map(x => x[0]),
      [seq],
      'one line in the history: ' + JSON.stringify(shown),
    );
  });
  T('calls', 'declined by the callee: declined, sender=callee', async t => {
    const s = await scene(t);
    if (!s) return;
    const seq = await ring(s);
    await state(s.b, 'started');
    note(s.b, s.a.uid, 'hang-up', seq);
    const d = await state(s.a, 'declined');
    assert.deepEqual([d.head.replace, d.head.sender, d.from], [':' + seq, s.b.uid, s.a.uid]);
    await s.a.info({ event: 'hang-up', seq });
  });
  T('calls', 'declined from a detached device', async t => {
    const s = await scene(t);
    if (!s) return;
    const seq = await ring(s);
    await s.b2.pres({ what: 'msg' });
    note(s.b2, s.a.uid, 'hang-up', seq);
    await state(s.a, 'declined');
  });
  T('calls', 'withdrawn by the caller: missed', async t => {
    const s = await scene(t);
    if (!s) return;
    const seq = await ring(s);
    await state(s.b, 'started');
    note(s.a, s.b.uid, 'hang-up', seq);
    const d = await state(s.b, 'missed');
    assert.deepEqual([d.head.replace, d.head.sender], [':' + seq, undefined]);
    const i = await s.b2.info({ event: 'hang-up' });
    assert.deepEqual([i.topic, i.src], ['me', s.a.uid]);
  });
  T('calls', 'not answered in time: missed, hang-up to all', async t => {
    const s = await scene(t);
    if (!s) return;
    const k = s.a.hi.params.callTimeout;
    if (k > 6) return t.skip(`callTimeout is ${k} s`);
    const seq = await ring(s);
    const d = await state(s.a, 'missed', 0, (k + 3) * 1000);
    assert.equal(d.head.replace, ':' + seq);
    await s.b.info({ event: 'hang-up', seq });
  });
  T('calls', 'busy: a second call in the conversation is 486, from either side; free afterwards', async t => {
    const s = await scene(t);
    if (!s) return;
    const seq = await ring(s);
    await state(s.b, 'started');
    const p = s.tb.createMessage('x');
    p.head = { webrtc: 'started' };
    await h.fails(s.b.t.publishMessage(p), 486);
    note(s.b, s.a.uid, 'hang-up', seq);
    await state(s.a, 'declined');
    await ring(s);
  });
  T('calls', 'ordinary messages pass during a call', async t => {
    const s = await scene(t);
    if (!s) return;
    const seq = await ring(s);
    await state(s.b, 'started');
    note(s.b, s.a.uid, 'accept', seq);
    await s.a.info({ event: 'accept' });
    assert.equal((await s.tb.publish('text')).code, 202);
    await s.a.data({ content: 'text' });
  });
  T('calls', 'wrong seq, unknown event, second acceptance, events after the end: ignored', async t => {
    const s = await scene(t);
    if (!s) return;
    const seq = await ring(s);
    await state(s.b, 'started');
    const raw = await h.rawOf(s.b);
    await raw.req('sub', { topic: s.a.uid });
    let m = s.a.mark();
    for (const q of [{ event: 'ringing', seq: seq + 9 }, { event: 'zzz', seq }, { seq }])
      raw.send({ note: { topic: s.a.uid, what: 'call', ...q } });
    await s.a.none(p => (p.info && p.info.what === 'call') || p.data, { m, ms: 300 });
    note(s.b, s.a.uid, 'accept', seq);
    await state(s.a, 'accepted');
    await h.sleep(100);
    m = s.a.mark();
    note(s.b, s.a.uid, 'accept', seq);
    await s.a.none(p => p.data, { m, ms: 250 });
    note(s.a, s.b.uid, 'hang-up', seq);
    await state(s.a, 'finished', m);
    await h.sleep(100);
    m = s.a.mark();
    note(s.b, s.a.uid, 'hang-up', seq);
    note(s.b, s.a.uid, 'ringing', seq);
    await s.a.none(p => p.data || (p.info && p.info.what === 'call'), { m, ms: 300 });
  });
  T('calls', "a party's connection drops: the call ends for the other", async t => {
    const s = await scene(t);
    if (!s) return;
    const seq = await ring(s);
    await state(s.b, 'started');
    note(s.b, s.a.uid, 'accept', seq);
    await s.a.info({ event: 'accept' });
    s.a.close();
    const d = await state(s.b, 'disconnected', 0, 8000);
    assert.equal(d.head.replace, ':' + seq);
    await s.b.info({ event: 'hang-up', seq });
  });
  T('calls', 'in a group: 403', async t => {
    const c = await h.user();
    if (!c.hi.params.iceServers) return t.skip('no calls');
    const g = await h.group(c);
    const p = g.createMessage('x');
    p.head = { webrtc: 'started' };
    await h.fails(c.t.publishMessage(p), 403);
  });
  T(
    'calls',
    'a client cannot forge the states only a server sets',
    async t => {
      const s = await scene(t);
      if (!s) return;
      for (const webrtc of ['accepted', 'finished', 'missed']) {
        const p = s.ta.createMessage('x');
        p.head = { webrtc, sender: s.b.uid, replace: ':1' };
        await s.a.t.publishMessage(p).catch(() => {});
      }
      await h.sleep(150);
      for (const d of s.b.log.filter(p => p.data).map(p => p.data))
        assert.ok(
          !(d.head && (d.head.sender || ['accepted', 'finished', 'missed'].includes(d.head.webrtc))),
          JSON.stringify(d.head),
        );
      await ring(s);
    },
    { strict: true },
  );
});
T('calls', 'Drafty.videoCall of the SDK is what is sent', async t => {
  const s = await scene(t);
  if (!s) return;
  const d = Drafty.videoCall(true);
  const m = s.ta.createMessage(d);
  m.head = { ...m.head, webrtc: 'started', aonly: true };
  await s.ta.publishMessage(m);
  const x = (await state(s.b, 'started')).content;
  assert.deepEqual([x.txt, x.ent[0].tp, x.ent[0].data.aonly], [' ', 'VC', true]);
});
