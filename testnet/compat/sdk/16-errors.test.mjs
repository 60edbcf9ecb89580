import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
import net from 'node:net';
const { assert } = h;
// A logged-in raw session on me; alive(r) asserts that it still answers.
const session = async () => h.rawOf(await h.user({ me: false }));
const alive = async r => assert.ok((await r.req('get', { topic: 'me', what: 'desc' }, { meta: true })).desc, 'session lives');
// Send a frame as it is and return the next ctrl.
async function answer(r, frame) {
  const m = r.mark();
  r.send(frame);
  return (await r.wait(p => p.ctrl, 4000, m)).ctrl;
}
const malformed = c => {
  assert.equal(c.code, 400);
  assert.equal(c.text, 'malformed');
};

T('bad input', 'not JSON, empty, wrong kinds of document: 400 without id; the session lives', async () => {
  const r = await session();
  for (const f of [
    'hello',
    '',
    '[]',
    'null',
    '{}',
    '"x"',
    '42',
    '{',
    '{"get":',
    '{"zzz":{"id":"1"}}',
    '{"get":null}',
    '{"get":{"id":"1"}} x',
    '\u0000',
  ]) {
    const c = await answer(r, f);
    malformed(c);
    assert.equal(c.id, undefined, f);
  }
  await alive(r);
});
T('bad input', 'the same before {hi}: 400, then {hi} works', async () => {
  const r = await h.raw();
  for (const f of ['x', '{}', '[1]']) assert.ok((await answer(r, f)).code >= 400);
  assert.equal((await r.hi()).code, 201);
});
T('bad input', 'wrong JSON types of known fields: 400; the session lives', async () => {
  const { a, b } = await h.pair();
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  const t = JSON.stringify(b.uid);
  for (const f of [
    '{"get":{"id":"1","topic":42,"what":"desc"}}',
    '{"get":{"id":42,"topic":"me","what":"desc"}}',
    `{"pub":{"id":"1","topic":${t},"noecho":"yes","content":"x"}}`,
    `{"pub":{"id":"1","topic":${t},"head":"x","content":"x"}}`,
    `{"note":{"topic":${t},"what":"read","seq":"1"}}`,
    `{"note":{"topic":${t},"what":"read","seq":1.5}}`,
    '{"get":{"id":"1","topic":"me","what":["desc"]}}',
    '{"set":{"id":"1","topic":"me","tags":"x"}}',
    '{"set":{"id":"1","topic":"me","desc":"x"}}',
    `{"del":{"id":"1","topic":${t},"what":"msg","delseq":{"low":1}}}`,
    '{"get":{"id":"1","topic":"me","what":"sub","sub":{"ims":"yesterday"}}}',
    '{"login":{"id":"1","scheme":"basic","secret":"***"}}',
    '{"sub":{"id":"1","topic":"me","get":"desc"}}',
    `{"pub":{"id":"1","topic":${t},"content":"x"},"extra":{"attachments":"x"}}`,
  ]) {
    const c = await answer(r, f);
    assert.equal(c.code, 400, f);
  }
  await alive(r);
});
T('bad input', 'unknown fields are ignored, at every level', async () => {
  const r = await session();
  r.send('{"get":{"id":"uf","topic":"me","what":"desc","bogus":{"a":[1,{"b":null}]},"desc":{"zzz":1}},"other":[1],"x":null}');
  assert.ok((await r.wait(p => p.meta && p.meta.id === 'uf')).meta.desc);
});
T('bad input', 'missing parts: 400 with id', async () => {
  const r = await session();
  for (const [k, b] of [
    ['pub', { content: 'x' }],
    ['get', { topic: 'me' }],
    ['get', { topic: 'me', what: 'zzz' }],
    ['get', { what: 'desc' }],
    ['sub', { topic: '' }],
    ['sub', {}],
    ['leave', {}],
    ['acc', {}],
    ['set', { topic: 'me' }],
  ])
    assert.equal((await r.req(k, b)).code, 400, k + JSON.stringify(b));
  await alive(r);
});
T('bad input', 'known and unknown parts mixed in {get what}: the known are answered', async () => {
  const r = await session();
  const m = await r.req('get', { topic: 'me', what: 'zzz desc  yyy' }, { meta: true });
  assert.ok(m.desc);
});
T('bad input', 'topics that do not exist or have impossible names: 4xx or 304, never 5xx', async () => {
  const r = await session();
  for (const topic of [
    'zzz',
    'usr',
    'grp',
    'chn',
    'p2p',
    'usrZZ',
    'grp!!!',
    'new',
    'me2',
    'usr' + 'x'.repeat(5000),
    '../../etc',
    'grpAAAAAAAAAAA@',
    'usrAAAAAAAAAAA@no such',
    'usr\u0000',
    '☃',
  ])
    for (const [k, b] of [
      ['get', { what: 'desc' }],
      ['set', { desc: { public: { fn: 'x' } } }],
      ['pub', { content: 'x' }],
      ['leave', {}],
      ['del', { what: 'msg', delseq: [{ low: 1 }] }],
      ...(topic === 'new' ? [] : [['sub', {}]]),
    ]) {
      const c = await r.req(k, { topic, ...b });
      assert.ok(c.code >= 300 && c.code < 500, `${k} ${topic.slice(0, 20)}: ${c.code}`);
    }
  await alive(r);
});
T(
  'bad input',
  '{del topic} of an impossible name does no harm',
  async () => {
    const r = await session();
    for (const topic of ['zzz', '', 'me', 'fnd', 'grp', 'usrZZ', 'new']) {
      const c = await r.req('del', { topic, what: 'topic', hard: true });
      assert.ok(c.code >= 300 && c.code < 500, `${topic}: ${c.code}`);
    }
    await alive(r);
    assert.equal((await r.req('sub', { topic: 'fnd' })).code, 200);
  },
  { strict: true },
);
T('bad input', 'content nested 40 deep passes unchanged', async () => {
  const { a, b } = await h.pair();
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  const v = JSON.parse('['.repeat(40) + ']'.repeat(40));
  assert.equal((await r.req('pub', { topic: b.uid, content: v })).code, 202);
  assert.deepEqual((await b.data({ seq: 1 })).content, v);
});
T('bad input', 'nested 50,000 deep: 400, the session lives', async () => {
  const { a, b } = await h.pair();
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  assert.equal(
    (await answer(r, `{"pub":{"id":"d","topic":"${b.uid}","content":${'['.repeat(50000)}${']'.repeat(50000)}}}`)).code,
    400,
  );
  await alive(r);
});
T('bad input', 'duplicate keys, odd numbers, lone surrogates: no 5xx, the session lives', async () => {
  const { a, b } = await h.pair();
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  const t = `"topic":"${b.uid}"`;
  for (const f of [
    `{"pub":{"id":"1","id":"2",${t},"content":"x"}}`,
    `{"pub":{"id":"3",${t},"content":1e400}}`,
    `{"pub":{"id":"4",${t},"content":-0.0}}`,
    `{"pub":{"id":"5",${t},"content":"\\ud800"}}`,
    `{"pub":{"id":"6",${t},"content":123456789012345678901234567890}}`,
  ])
    assert.ok((await answer(r, f)).code < 500, f);
  await alive(r);
});
T('bad input', 'broken UTF-8 in a text frame: 400 or the connection is closed, the server lives', async () => {
  const r = await session();
  r.ws.send(Buffer.from([0x7b, 0x22, 0xff, 0xfe]), { binary: false });
  await h.sleep(300);
  assert.ok(r.closed || r.log.some(p => p.ctrl && p.ctrl.code === 400));
  await alive(await session());
});
T('bad input', 'an oversized frame: closed with 1009, or refused; the server lives, the message is in no history', async () => {
  const { a, b } = await h.pair();
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  const m = r.mark();
  r.send({ pub: { id: 'big', topic: b.uid, content: 'z'.repeat(a.hi.params.maxMessageSize + 5000) } });
  for (let i = 0; i < 30 && !r.closed && !r.since(m).some(p => p.ctrl && p.ctrl.code === 413); i++) await h.sleep(100);
  assert.ok(r.closed === 1009 || r.since(m).some(p => p.ctrl && p.ctrl.code === 413), String(r.closed));
  const c = await b.t.getMeta(a.uid, { what: 'data' });
  assert.equal(c.code, 204);
});
T('bad input', 'a frame just under the limit passes', async () => {
  const { a, b } = await h.pair();
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  const v = 'y'.repeat(a.hi.params.maxMessageSize - 300);
  assert.equal((await r.req('pub', { topic: b.uid, content: v })).code, 202);
  assert.equal((await b.data({ seq: 1 })).content.length, v.length);
});
T('bad input', 'ranges: deletion and history with nonsense do not disturb', async () => {
  const { a, b, ta } = await h.pair();
  await ta.publish('1');
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  for (const delseq of [
    [],
    [{}],
    [{ low: 0 }],
    [{ low: -5, hi: 2 }],
    [{ low: 9, hi: 3 }],
    [{ low: 100 }],
    [{ low: 1, hi: 1e15 }],
    [{ hi: 3 }],
  ]) {
    const c = await r.req('del', { topic: b.uid, what: 'msg', delseq });
    assert.ok(c.code < 500, JSON.stringify(delseq));
  }
  for (const data of [
    { since: -1 },
    { before: -1 },
    { limit: -1 },
    { limit: 0 },
    { limit: 1e9 },
    { since: 5, before: 2 },
    { ranges: [] },
    { ranges: [{ low: 5, hi: 1 }] },
    { ranges: [{ low: -3 }] },
  ]) {
    const c = await r.req('get', { topic: b.uid, what: 'data', data });
    assert.ok(c.code < 500, JSON.stringify(data));
  }
  await alive(r);
});
T('bad input', 'history of a thousand ranges is bounded', async () => {
  const { a, b, ta } = await h.pair();
  for (let i = 0; i < 5; i++) await ta.publish('x');
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  const m = r.mark();
  const c = await r.req('get', {
    topic: b.uid,
    what: 'data',
    data: { ranges: [...Array(1000)].map((_, i) => ({ low: i + 1 })) },
  });
  assert.ok(c.code < 500);
  assert.ok(r.since(m).filter(p => p.data).length <= 5);
});
T('bad input', 'notes: wrong in any way, no answer but perhaps an id-less error; nothing relayed', async () => {
  const { a, b, ta } = await h.pair();
  await ta.publish('1');
  await b.data({ seq: 1 });
  const r = await h.rawOf(b);
  await r.req('sub', { topic: a.uid });
  const m = a.mark();
  for (const n of [
    { what: 'zzz' },
    { what: 'recv' },
    { what: 'read', seq: -1 },
    { what: 'read', seq: 999 },
    { what: 'read', seq: 0 },
    { what: 'call', seq: 1 },
    { what: 'call', seq: 1, event: 'ringing' },
    { what: 'data', seq: 1 },
    {},
  ])
    r.send({ note: { topic: a.uid, ...n } });
  r.send({ note: { topic: 'grpAAAAAAAAAAA', what: 'kp' } });
  r.send({ note: { what: 'kp' } });
  r.send({ note: { topic: 'me', what: 'kp' } });
  await a.none(p => p.info && p.info.what !== 'recv', { m, ms: 400 });
  await alive(r);
});
T('bad input', 'wrong order: everything before {hi} 409, before login 401, before {sub} 409', async () => {
  const [x, y] = await Promise.all([h.user({ me: false }), h.user({ me: false })]);
  const r = await h.raw();
  for (const k of ['login', 'sub', 'get', 'acc'])
    assert.equal(
      (await r.req(k, { topic: 'me', what: 'desc', scheme: 'basic', secret: h.b64('a:b'), user: 'new' })).code,
      409,
      k,
    );
  await r.hi();
  for (const k of ['sub', 'pub', 'get', 'set', 'del', 'leave'])
    assert.equal((await r.req(k, { topic: 'me', what: 'desc', content: 1 })).code, 401, k);
  await r.auth(x);
  assert.equal((await r.req('pub', { topic: y.uid, content: 'x' })).code, 409);
  assert.equal((await r.req('leave', { topic: y.uid, unsub: true })).code, 409);
  await alive(r);
});
T('bad input', 'several verbs in one packet: one of them or 400, the session lives', async () => {
  const r = await session();
  const m = r.mark();
  r.send('{"get":{"id":"t1","topic":"me","what":"desc"},"get2":{},"pub":{"id":"t2","topic":"me","content":"x"}}');
  await r.wait(p => p.ctrl || p.meta, 4000, m);
  await alive(r);
});
T('bad input', 'content: missing, null and empty are messages or 4xx, the same for both sides', async () => {
  const { a, b } = await h.pair();
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  for (const content of [undefined, null, '']) {
    const c = await r.req('pub', { topic: b.uid, content });
    assert.ok(c.code < 500);
    if (c.code === 202) assert.ok(c.params.seq > 0);
  }
});
T('bad input', 'heads: deep, large or with odd values come through unchanged or are refused whole', async () => {
  const { a, b } = await h.pair();
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  const head = { 'x-a': { b: [1, null] }, 'x-n': 1.5, 'x-s': 'y'.repeat(20000), mentions: [], '': 'empty' };
  const c = await r.req('pub', { topic: b.uid, content: 'x', head });
  if (c.code === 202) assert.deepEqual((await b.data({ seq: 1 })).head, head);
  else assert.ok(c.code >= 400 && c.code < 500);
});
T('bad input', 'prototype-like keys are data like any other', async () => {
  const c = await h.user();
  const r = await h.rawOf(c);
  await r.req('set', { topic: 'me', desc: { private: JSON.parse('{"__proto__":1,"constructor":"x","toString":2}') } });
  const d = (await r.req('get', { topic: 'me', what: 'desc' }, { meta: true })).desc;
  assert.equal(d.private.constructor, 'x');
});
T('bad input', 'public and private of any JSON type: stored or 4xx', async () => {
  const r = await session();
  for (const v of ['text', 42, true, ['a'], { a: { b: [1] } }]) {
    const c = await r.req('set', { topic: 'me', desc: { private: v } });
    assert.ok(c.code < 500, JSON.stringify(v));
  }
  await alive(r);
});
T('flood', '2,000 requests at once: each is answered (or told 429/503), then the session serves on or is closed', async () => {
  const r = await session();
  const N = 2000;
  const m = r.mark();
  for (let i = 0; i < N; i++) r.send({ get: { id: 'f' + i, topic: 'me', what: 'desc' } });
  for (let i = 0; i < 100 && !r.closed && r.since(m).filter(p => (p.meta || p.ctrl || {}).id?.startsWith('f')).length < N; i++)
    await h.sleep(100);
  const got = r.since(m).filter(p => (p.meta || p.ctrl || {}).id?.startsWith('f'));
  if (!r.closed) {
    assert.equal(got.length, N);
    for (const p of got) assert.ok(p.meta || [429, 503].includes(p.ctrl.code));
    await alive(await session());
  }
});
T('flood', 'a client that does not read is dropped or waits; others are served', async () => {
  const { a, b, ta } = await h.pair();
  const s = await h.rawOf(b);
  await s.req('sub', { topic: a.uid });
  s.ws._socket.pause();
  for (let i = 0; i < 40; i++) await ta.publish('z'.repeat(50000));
  await b.data({ seq: 40 }, 0, 8000);
  s.ws._socket.resume();
});
T('sockets', 'half a handshake, garbage and an abrupt end on the port do no harm', async () => {
  const [host, port] = h.HOST.split(':');
  for (const bytes of [
    '',
    'GET',
    'GET /v0/channels?apikey=x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n',
    '\x16\x03\x01\x02\x00\x01\x00',
    'x'.repeat(20000),
  ])
    await new Promise(done => {
      const c = net.connect(+port || 80, host, () => {
        c.write(bytes);
        setTimeout(() => {
          c.destroy();
          done();
        }, 50);
      });
      c.on('error', done);
    });
  await alive(await session());
});
T('sockets', 'a connection cut in the middle of a message', async () => {
  const r = await session();
  const big = JSON.stringify({ get: { id: 'x', topic: 'me', what: 'desc', pad: 'y'.repeat(60000) } });
  r.ws._socket.write(Buffer.concat([Buffer.from([0x81, 0xfe, 0xea, 0x60, 1, 2, 3, 4]), Buffer.from(big.slice(0, 100))]));
  await h.sleep(50);
  r.ws._socket.destroy();
  await alive(await session());
});
T('sockets', 'ping is answered by pong; close handshake is clean', async () => {
  const r = await session();
  const pong = new Promise(k => r.ws.once('pong', k));
  r.ws.ping('hey');
  assert.equal(String(await Promise.race([pong, h.sleep(3000)])), 'hey');
  r.ws.close(1000);
  for (let i = 0; i < 30 && !r.closed; i++) await h.sleep(50);
  assert.ok([1000, 1005].includes(r.closed), String(r.closed));
});
T(
  'idempotence',
  'a {pub} repeated with the same id in the same session is one message',
  async () => {
    const { a, b } = await h.pair();
    const r = await h.rawOf(a);
    await r.req('sub', { topic: b.uid });
    const m = r.mark();
    for (let i = 0; i < 2; i++) r.send({ pub: { id: 'same', topic: b.uid, content: 'once' } });
    await h.sleep(400);
    const c = r
      .since(m)
      .filter(p => p.ctrl && p.ctrl.id === 'same')
      .map(p => p.ctrl);
    assert.deepEqual(
      c.map(x => [x.code, x.params.seq]),
      [
        [202, 1],
        [202, 1],
      ],
    );
    assert.equal(b.log.filter(p => p.data).length, 1);
  },
  { strict: true },
);
