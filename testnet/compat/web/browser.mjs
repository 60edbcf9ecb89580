// Headless Chromium for the cases: one browser a file, windows that know nothing of each other, screenshots of those
// that were open when a case failed. A client that the server under test does not serve is served to the browser from
// disk instead, so that each client can be tried on any server: the API is always the server's.
import { after } from 'node:test';
import { AsyncLocalStorage } from 'node:async_hooks';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { T } from '../lib/t.mjs';

const compat = dirname(dirname(fileURLToPath(import.meta.url)));
const npm = join(compat, 'node_modules');
export const BASE = new URL(process.env.BASE || 'http://127.0.0.1:6060').origin;
const WEBBASE = new URL(process.env.WEBBASE || BASE).origin;
export const PEER = process.env.PEER && new URL(process.env.PEER).origin; // a second node: whoever is called bob or carol is there
const LAST = 15; // frames to show of each window of a case that failed
export const WAIT_MS = 20_000; // for whatever a case waits for: a condition of the document, never a time; long, for a busy machine

// The two clients: where the server that serves them is, how its index.html is known, and where they are on disk.
export const clients = {
  webapp: { base: WEBBASE, sign: 'umd/tinode.prod.js', dir: join(npm, 'tinode-webapp') },
  page: { base: BASE, sign: 'src="app.js"', dir: join(compat, '../../node/web') },
};

// What the web app's index.html takes from elsewhere, from the packages that it depends on.
const ELSEWHERE = [
  [/\/react@[^/]*\/umd\/react\.production\.min\.js$/, 'react/umd/react.production.min.js'],
  [/\/react-dom@[^/]*\/umd\/react-dom\.production\.min\.js$/, 'react-dom/umd/react-dom.production.min.js'],
  [/\/react-intl@[^/]*\/react-intl\.iife\.min\.js$/, 'react-intl/react-intl.iife.js'],
  [/\/qrcodejs@[^/]*\/qrcode\.min\.js$/, 'qrcodejs/qrcode.min.js'],
];
// The icon font is not on npm. Without it icons are words: keep them as small as icons.
const ICONS = '.material-icons{display:inline-block;width:1em;height:1em;font:10px/24px sans-serif;font-size:24px;overflow:hidden;white-space:nowrap}';
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.png': 'image/png', '.json': 'application/json' };

const CHROMIUM = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(p => p && existsSync(p));
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-features=LocalNetworkAccessChecks']; // pages from disk have no address
let browser, shots;
after(async () => { await (await browser)?.close(); });

// Windows of the running case.
const cases = new AsyncLocalStorage();

// B is T for cases in a browser; without Chromium they are skipped and say so.
export function B(feature, what, fn, opts = {}) {
  T(feature, what, t => {
    if (!CHROMIUM && process.env.CI) throw new Error('no Chromium');
    if (!CHROMIUM) return t.skip('no Chromium here: set CHROMIUM to its path');
    return cases.run([], async () => {
      try { await fn(t); } catch (e) {
        e.stack += await evidence(cases.getStore());
        throw e;
      } finally {
        for (const w of cases.getStore()) await w.context.close();
      }
    });
  }, { timeout: 120_000, ...opts });
}

// evidence keeps screenshots and what went over the wires, and tells where, the last of it, and what the pages complained of.
async function evidence(windows) {
  shots ??= mkdtempSync(join(tmpdir(), 'parley-web-'));
  const lines = [];
  for (const [i, w] of windows.entries()) {
    const file = join(shots, `${Date.now()}-${i}-${w.who}.png`);
    await w.page.screenshot({ path: file }).then(() => lines.push(file), () => {});
    writeFileSync(file.replace(/png$/, 'wire'), w.wire.join('\n'));
    lines.push(...w.complaints.slice(0, 5).map(c => `${w.who}: ${c}`));
    lines.push(...w.wire.slice(-LAST).map(f => `${w.who} ${f.slice(0, 200)}`));
  }
  return lines.length ? `\n${lines.join('\n')}` : '';
}

// handle is what a person tells others, to be found by: the login, and on another node than theirs the address.
export function handle(w) {
  const id = w.wire.map(frame => /"user":"usr[^"@]+@([^"]+)"/.exec(frame)).find(Boolean);
  return PEER ? `${w.login}@${id[1]}` : w.login;
}

// open shows a client in a window of its own: {page, context, complaints}. `at` is another server to use it on than
// its own; the other options are Playwright's for a context.
export async function open(kind, who, { at, ...options } = {}) {
  if (PEER && /^(bob|carol)/.test(who)) at = PEER;
  browser ??= chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  const client = at && at !== clients[kind].base ? { ...clients[kind], base: at } : clients[kind];
  client.served ??= fetch(client.base + '/').then(async r => (await r.text()).includes(client.sign));
  const context = await (await browser).newContext({ viewport: { width: 1000, height: 720 }, locale: 'en-US', serviceWorkers: 'block', ...options });
  const w = { who, context, complaints: [], wire: [], page: await context.newPage() };
  cases.getStore().push(w);
  w.page.setDefaultTimeout(WAIT_MS);
  w.page.on('pageerror', e => w.complaints.push(e.stack ?? String(e)));
  w.page.on('console', m => {
    if (m.type() === 'error' && !/firebase-init/.test(m.text() + m.location().url)) w.complaints.push(`${m.text()} ${m.location().url}`);
  }); // firebase-init.js is for the server's operator to add; it is not in the package
  w.page.on('websocket', ws => {
    ws.on('framesent', f => w.wire.push(`> ${f.payload}`));
    ws.on('framereceived', f => w.wire.push(`< ${f.payload}`));
  });
  await context.addInitScript(lag => { // lets a case cut the connection
    window.WebSocket = class extends WebSocket {
      constructor(...args) { super(...args); window.lastSocket = this; }
      send(frame) { lag ? setTimeout(() => this.readyState > 1 || super.send(frame), lag) : super.send(frame); }
    };
  }, Number(process.env.LAG_MS)); // LAG_MS=800: what a case takes for granted that a slow machine or network does not give
  const served = !process.env.FROM_DISK && await client.served; // FROM_DISK=1: to work on the page without building the node
  await context.route('**/*', route => answer(route, client, served, w));
  await w.page.goto(client.base + '/');
  return w;
}

function answer(route, client, served, w) {
  const url = new URL(route.request().url());
  if (url.origin === client.base) {
    if (served || url.pathname.startsWith('/v0/')) return route.continue();
    return fromDisk(route, join(client.dir, normalize(url.pathname.replace(/\/$/, '/index.html'))));
  }
  if (!url.protocol.startsWith('http')) return route.continue(); // blob:, data:
  if (client.dir === clients.webapp.dir) {
    const [, file] = ELSEWHERE.find(([re]) => re.test(url.pathname)) ?? [];
    if (file) return fromDisk(route, join(npm, file));
    if (url.host === 'fonts.googleapis.com') return route.fulfill({ contentType: 'text/css', body: ICONS });
    if (url.host === 'polyfill-fastly.io') return route.fulfill({ contentType: 'text/javascript', body: '' });
  }
  w.complaints.push(`asked for ${url.href}`);
  return route.abort();
}

function fromDisk(route, file) {
  if (!existsSync(file)) return route.fulfill({ status: 404 });
  return route.fulfill({ body: readFileSync(file), contentType: TYPES[extname(file)] ?? 'application/octet-stream' });
}

// picture is a PNG file, made by the browser: two thirds as high as wide, of noise, so that it grows with its width.
export async function picture(w, width = 48) {
  const data = await w.page.evaluate(n => {
    const canvas = Object.assign(document.createElement('canvas'), { width: n, height: n * 2 / 3 });
    const image = new ImageData(canvas.width, canvas.height);
    for (let i = 0, x = 1; i < image.data.length; i++) image.data[i] = i % 4 === 3 ? 255 : (x = x * 48271 % 0x7fffffff) & 255;
    canvas.getContext('2d').putImageData(image, 0, 0);
    return canvas.toDataURL('image/png').split(',')[1];
  }, width);
  return { name: 'noise.png', mimeType: 'image/png', buffer: Buffer.from(data, 'base64') };
}

// content is the text of a file that the browser was told to save.
export async function content(download) {
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
