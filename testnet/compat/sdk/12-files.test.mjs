import { T } from '../lib/t.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;
const KEY = { 'X-Tinode-APIKey': h.APIKEY };
const tokenOf = c => c.t.getAuthToken().token;
const authOf = c => ({ ...KEY, 'X-Tinode-Auth': 'Token ' + tokenOf(c) });
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
function form(data = 'hello file', { type = 'text/plain', name = 'a.txt', ...fields } = {}) {
  const f = new FormData();
  f.append('file', new Blob([data], { type }), name);
  for (const [k, v] of Object.entries(fields)) f.append(k, v);
  return f;
}
const post = (headers, body, q = '') => h.http('/v0/file/u/' + q, { method: 'POST', headers, body });
async function upload(c, data, o) {
  const r = await post(authOf(c), form(data, o));
  const b = await r.json();
  assert.equal(r.status, 200, JSON.stringify(b));
  return b.ctrl.params.url;
}
const get = (url, headers = {}, method = 'GET') => h.http(url, { method, headers });
const one = async data => {
  const c = await h.user({ me: false });
  return { c, url: await upload(c, data) };
};

T('files', 'upload: 200 with ctrl, id echoed, url under /v0/file/s/', async () => {
  const c = await h.user({ me: false });
  const r = await post(authOf(c), form('x', { id: 'i77' }));
  const { ctrl } = await r.json();
  assert.deepEqual([r.status, ctrl.code, ctrl.id], [200, 200, 'i77']);
  assert.match(ctrl.params.url, /^\/v0\/file\/s\/[^/]/);
  assert.ok(ctrl.ts);
});
T('files', 'upload and download through the SDK (LargeFileHelper), progress reported', async () => {
  const c = await h.user({ me: false });
  const up = c.t.getLargeFileHelper();
  let progress = 0;
  const url = await up.upload(new Blob(['sdk data'], { type: 'text/plain' }), null, () => {
    progress++;
  });
  assert.match(url, /\/v0\/file\/s\//);
  assert.ok(progress > 0);
  const full = c.t.authorizeURL(url);
  const r = await get(full.replace(/^https?:\/\/[^/]+/, ''));
  assert.equal(await r.text(), 'sdk data');
});
T('files', 'download: content, type, length; any logged-in user may', async () => {
  const { c, url } = await one('hello file');
  const d = await h.user({ me: false });
  for (const x of [c, d]) {
    const r = await get(url, { ...authOf(x), 'accept-encoding': 'identity' });
    assert.equal(r.status, 200);
    assert.equal(r.headers.get('content-length'), '10');
    assert.match(r.headers.get('content-type'), /text\/plain/);
    assert.equal(await r.text(), 'hello file');
  }
});
T('files', 'binary content survives byte for byte (1 MB)', async () => {
  const b = Buffer.alloc(1 << 20);
  for (let i = 0; i < b.length; i++) b[i] = (i * 31 + (i >> 8)) & 255;
  const c = await h.user({ me: false });
  const url = await upload(c, b, { type: 'application/octet-stream', name: 'b.bin' });
  assert.ok(Buffer.from(await (await get(url, authOf(c))).arrayBuffer()).equals(b));
});
T(
  'files',
  'empty file',
  async () => {
    const { c, url } = await one('');
    const r = await get(url, authOf(c));
    assert.equal(r.status, 200);
    assert.equal(await r.text(), '');
  },
  { strict: true },
);
T('files', 'upload credentials: X-Tinode-Auth, Authorization Token and Basic, query, form, cookie', async () => {
  const c = await h.user({ me: false });
  const tok = tokenOf(c),
    basic = h.b64(c.login + ':' + c.pass);
  const q = `?auth=token&secret=${encodeURIComponent(tok)}`;
  for (const [what, r] of [
    ['X-Tinode-Auth', post(authOf(c), form())],
    ['Authorization Token', post({ ...KEY, Authorization: 'Token ' + tok }, form())],
    ['Authorization Basic', post({ ...KEY, Authorization: 'Basic ' + basic }, form())],
    ['query', post(KEY, form(), q)],
    [
      'form',
      post(
        KEY,
        (() => {
          const f = new FormData();
          f.append('auth', 'token');
          f.append('secret', tok);
          f.append('file', new Blob(['x']), 'a.txt');
          return f;
        })(),
      ),
    ],
    ['cookie', post({ ...KEY, cookie: `auth=token; secret=${tok}` }, form())],
  ])
    assert.equal((await r).status, 200, what);
});
T('files', 'download credentials: header, Authorization, query (token and basic), cookies', async () => {
  const { c, url } = await one('x');
  const tok = tokenOf(c),
    basic = h.b64(c.login + ':' + c.pass),
    e = encodeURIComponent;
  for (const [what, r] of [
    ['Authorization', get(url, { ...KEY, Authorization: 'Token ' + tok })],
    ['Basic', get(url, { ...KEY, Authorization: 'Basic ' + basic })],
    ['query', get(`${url}?apikey=${h.APIKEY}&auth=token&secret=${e(tok)}`)],
    ['query basic', get(`${url}?apikey=${h.APIKEY}&auth=basic&secret=${e(basic)}`)],
    ['cookie', get(url, { cookie: `apikey=${h.APIKEY}; auth=token; secret=${tok}` })],
  ])
    assert.equal((await r).status, 200, what);
});
T('files', 'no API key 403, no login 401, bad token 4xx, each with a ctrl body', async () => {
  const { c, url } = await one('x');
  for (const [r, code] of [
    [post({ 'X-Tinode-Auth': 'Token ' + tokenOf(c) }, form()), [403]],
    [post(KEY, form()), [401]],
    [post({ ...KEY, 'X-Tinode-Auth': 'Token zzzz' }, form()), [400, 401]],
    [get(url, { 'X-Tinode-Auth': 'Token ' + tokenOf(c) }), [403]],
    [get(url, KEY), [401]],
    [get(url), [403]],
  ]) {
    const x = await r;
    assert.ok(code.includes(x.status), `${x.status} not in ${code}`);
    assert.equal((await x.json()).ctrl.code, x.status);
  }
});
T('files', 'sign-up avatar: topic=newacc may upload without login', async () => {
  const r = await post(KEY, form('x', { id: 'q', topic: 'newacc' }));
  const b = await r.json();
  assert.deepEqual([r.status, b.ctrl.id], [200, 'q']);
  assert.ok(b.ctrl.params.url);
  assert.equal((await post(KEY, form('x', { topic: 'grpAAAAAAAAAAA' }))).status, 401);
});
T('files', 'too large: 413 with ctrl', async t => {
  const c = await h.user();
  const max = c.hi.params.maxFileUploadSize;
  if (max > 40 << 20) return t.skip('the limit is ' + max);
  const r = await post(authOf(c), form(Buffer.alloc(max + 4096, 'z')));
  assert.equal(r.status, 413);
  assert.equal((await r.json()).ctrl.code, 413);
});
T('files', 'no file part, no multipart: 400 with ctrl', async () => {
  const c = await h.user({ me: false });
  const f = new FormData();
  f.append('id', 'x');
  for (const r of [await post(authOf(c), f), await post({ ...authOf(c), 'content-type': 'text/plain' }, 'zzz')]) {
    assert.equal(r.status, 400);
    assert.equal((await r.json()).ctrl.code, 400);
  }
});
T('files', 'methods: OPTIONS 204 on both, GET of the upload 405, POST and DELETE of a file 405', async () => {
  const { c, url } = await one('x');
  for (const u of ['/v0/file/u/', url])
    assert.equal((await get(u, { origin: 'http://x.example', 'access-control-request-method': 'POST' }, 'OPTIONS')).status, 204);
  assert.equal((await get('/v0/file/u/', authOf(c))).status, 405);
  for (const m of ['POST', 'DELETE']) assert.equal((await get(url, authOf(c), m)).status, 405);
});
T('files', 'HEAD: 200 without body; without login 401', async () => {
  const { c, url } = await one('hello');
  const r = await get(url, authOf(c), 'HEAD');
  assert.equal(r.status, 200);
  assert.equal(await r.text(), '');
  assert.equal((await get(url, KEY, 'HEAD')).status, 401);
});
T('files', 'Range: 206 for inner, suffix and open ranges; 416 beyond the end', async () => {
  const { c, url } = await one('hello file');
  for (const [range, want, cr] of [
    ['bytes=2-4', 'llo', 'bytes 2-4/10'],
    ['bytes=-3', 'ile', 'bytes 7-9/10'],
    ['bytes=8-', 'le', 'bytes 8-9/10'],
  ]) {
    const r = await get(url, { ...authOf(c), range });
    assert.equal(r.status, 206, range);
    assert.equal(r.headers.get('content-range'), cr);
    assert.equal(await r.text(), want);
  }
  const r = await get(url, { ...authOf(c), range: 'bytes=100-200' });
  assert.equal(r.status, 416);
  assert.equal(r.headers.get('content-range'), 'bytes */10');
});
T('files', 'ETag: If-None-Match 304, other 200; equal for the same file', async () => {
  const { c, url } = await one('tagged');
  const a = await get(url, authOf(c));
  const et = a.headers.get('etag');
  assert.ok(et);
  assert.equal((await get(url, authOf(c))).headers.get('etag'), et);
  assert.equal((await get(url, { ...authOf(c), 'if-none-match': et })).status, 304);
  assert.equal((await get(url, { ...authOf(c), 'if-none-match': '"other"' })).status, 200);
  assert.ok(a.headers.get('cache-control'));
});
T('files', 'unknown file, traversal, empty name: 404', async () => {
  const c = await h.user({ me: false });
  for (const u of [
    '/v0/file/s/AAAAAAAAAAA.txt',
    '/v0/file/s/',
    '/v0/file/s/%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    '/v0/file/s/..%5c..%5cx',
    '/v0/file/s/a/b/c/d/e',
  ])
    assert.equal((await get(u, authOf(c))).status, 404, u);
});
T('files', 'HTML, SVG and unknown types come as attachment; images inline unless asked (asatt=1)', async () => {
  const c = await h.user({ me: false });
  for (const [data, type, name] of [
    ['<script>1</script>', 'text/html', 'p.html'],
    ['<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', 'image/svg+xml', 'p.svg'],
    ['x', 'application/x-zz', 'p.zz'],
  ]) {
    const r = await get(await upload(c, data, { type, name }), authOf(c));
    assert.match(r.headers.get('content-disposition') || '', /^attachment/, name);
  }
  const r = await get(await upload(c, PNG, { type: 'image/png', name: 'p.png' }), authOf(c));
  assert.match(r.headers.get('content-type'), /^image\/png/);
  assert.doesNotMatch(r.headers.get('content-disposition') || '', /^attachment/);
});
T(
  'files',
  'served so that nothing runs on our origin: nosniff and a sandboxing policy',
  async () => {
    const c = await h.user({ me: false });
    const r = await get(await upload(c, '<script>1</script>', { type: 'text/html', name: 'p.html' }), authOf(c));
    assert.equal(r.headers.get('x-content-type-options'), 'nosniff');
    assert.match(r.headers.get('content-security-policy') || '', /sandbox|default-src 'none'/);
  },
  { strict: true },
);
T('files', 'a lying type does not make an image of HTML', async () => {
  const c = await h.user({ me: false });
  const r = await get(await upload(c, '<html><script>1</script></html>', { type: 'image/png', name: 'p.png' }), authOf(c));
  const inline = !/^attachment/.test(r.headers.get('content-disposition') || '');
  assert.ok(!(inline && /html/.test(r.headers.get('content-type'))));
});
T('attachments', 'a message with an attachment: ref and head unchanged for the receiver, who can fetch it', async () => {
  const { a, b, ta } = await h.pair();
  const url = await upload(a, 'attached');
  const p = ta.createMessage(h.Drafty.attachFile(null, { mime: 'text/plain', filename: 'a.txt', refurl: url, size: 8 }));
  assert.equal((await ta.publishMessage(p)).code, 202);
  const d = await b.data({ seq: 1 });
  assert.equal(d.content.ent[0].data.ref, url);
  assert.equal(await (await get(url, authOf(b))).text(), 'attached');
});
T('attachments', 'an image with inline preview and ref', async () => {
  const { a, b, ta } = await h.pair();
  const url = await upload(a, PNG, { type: 'image/png', name: 'p.png' });
  await ta.publish(
    h.Drafty.insertImage(null, 0, {
      mime: 'image/png',
      preview: 'AAAA',
      refurl: url,
      width: 1,
      height: 1,
      filename: 'p.png',
      size: PNG.length,
    }),
  );
  const d = await b.data({ seq: 1 });
  assert.equal(d.content.ent[0].tp, 'IM');
  assert.equal(d.content.ent[0].data.ref, url);
  assert.ok(Buffer.from(await (await get(url, authOf(b))).arrayBuffer()).equals(PNG));
});
T('attachments', 'unknown, absolute and garbage refs in extra.attachments are ignored', async () => {
  const { a, b } = await h.pair();
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  const c = await r.req(
    'pub',
    { topic: b.uid, content: 'x' },
    { extra: { attachments: ['/v0/file/s/AAAAAAAAAAA.txt', 'http://evil.example/x', 'zzz', ''] } },
  );
  assert.equal(c.code, 202);
});
T('attachments', 'avatar on me and on a group', async () => {
  const { a, b } = await h.pair();
  const url = await upload(a, PNG, { type: 'image/png', name: 'p.png' });
  await h.sleep(150);
  const m = b.mark();
  const r = await h.rawOf(a);
  assert.equal(
    (
      await r.req(
        'set',
        { topic: 'me', desc: { public: { fn: 'Ann', photo: { type: 'png', ref: url } } } },
        { extra: { attachments: [url] } },
      )
    ).code,
    200,
  );
  await b.pres({ what: 'upd', src: a.uid }, m);
  await b.wait(p => p.meta && p.meta.sub && p.meta.sub[0].public.photo && p.meta.sub[0].public.photo.ref === url, { m });
  assert.equal((await get(url, authOf(b))).status, 200);
  const k = await r.req(
    'sub',
    { topic: 'newG', set: { desc: { public: { fn: 'G', photo: { type: 'png', ref: url } } } } },
    { extra: { attachments: [url] } },
  );
  assert.equal(k.code, 200);
});
T('attachments', 'an attached file is still there after the message is long published (use counter)', async () => {
  const { a, b, ta } = await h.pair();
  const url = await upload(a, 'keep me');
  const r = await h.rawOf(a);
  await r.req('sub', { topic: b.uid });
  await r.req('pub', { topic: b.uid, content: 'x', head: { attachments: [url] } }, { extra: { attachments: [url] } });
  await h.sleep(500);
  assert.equal((await get(url, authOf(b))).status, 200);
  void ta;
});
