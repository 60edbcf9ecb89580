// One connection to the node: the client protocol as JSON packets over a WebSocket.
// A request resolves with the first {ctrl} or {meta} that carries its id. A connection
// that is lost is dialled again, ever more slowly.

// The key that all public clients carry. It tells which protocol is spoken and guards nothing.
export const API_KEY = 'AQEAAAABAAD_rAp4DJh05a1HAwFT3A6K';

const ANSWER_MS = 15_000; // without an answer for so long the connection is given up
const RETRY_MS = 500; // first pause before dialling again; doubles, half of it by chance
const RETRY_MAX_MS = 60_000;
const STEADY_MS = 10_000; // a connection that lived so long lets the pauses start anew

// Refused is a request that failed: code as in HTTP, 0 if it is not known what became of it.
export class Refused extends Error {
  constructor({ code = 0, text = 'no answer', params = {} } = {}) {
    super(`${code} ${text}`);
    Object.assign(this, { code, text, params });
  }
}

export class Wire {
  #ws = null;
  #tries = 0;
  #timer = 0;
  #next = 1;
  #waiting = new Map(); // id → {resolve, reject, timer}
  #open = false; // {hi} is answered and onOpen has ended
  #eager = []; // {resolve, reject} of those who wait for that

  // onOpen(params of {hi}) may log in; if it fails, the connection is given up.
  // onPacket(kind, body) gets every packet, onState what the connection is: 'connecting', 'open' or 'lost'.
  constructor({ onOpen, onPacket, onState }) {
    Object.assign(this, { onOpen, onPacket, onState });
    addEventListener('online', () => this.#hurry());
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.#hurry());
  }

  start() { this.#dial(); }

  // restart drops the connection so that what is in doubt is found out on the next one.
  restart() {
    const ws = this.#ws;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
    this.#lost(ws);
  }

  // opened resolves once requests can be made. It dials at once, and fails if that does.
  opened() {
    if (this.#open) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#eager.push({ resolve, reject });
      this.#dial();
    });
  }

  request(kind, body = {}, extra) {
    const id = String(this.#next++);
    return new Promise((resolve, reject) => {
      if (this.#ws?.readyState !== WebSocket.OPEN) return reject(new Refused({ text: 'not connected' }));
      const timer = setTimeout(() => this.restart(), ANSWER_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#ws.send(JSON.stringify({ [kind]: { id, ...body }, extra }));
    });
  }

  // note says something that is not answered; without a connection it is not said.
  note(body) {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify({ note: body }));
  }

  #dial() {
    clearTimeout(this.#timer);
    if (this.#ws) return;
    this.onState('connecting');
    const ws = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/v0/channels?apikey=${API_KEY}`);
    this.#ws = ws;
    ws.onopen = () => { ws.born = Date.now(); this.#greet(ws); };
    ws.onmessage = e => this.#hear(e.data);
    ws.onclose = () => this.#lost(ws);
  }

  async #greet(ws) {
    try {
      const hi = await this.request('hi', { ver: '0.25', ua: 'parley-web/1.0', lang: navigator.language, platf: 'web' });
      await this.onOpen(hi.params ?? {});
      this.#open = true;
      for (const { resolve } of this.#eager.splice(0)) resolve();
      this.onState('open');
    } catch (err) {
      if (!(err instanceof Refused)) console.error(err);
      if (this.#ws === ws) this.restart();
    }
  }

  #hear(text) {
    if (text === '0') return; // the answer to a probe
    for (const [kind, body] of Object.entries(JSON.parse(text))) {
      this.onPacket(kind, body);
      const waiting = this.#waiting.get(body.id);
      if (!waiting) continue;
      this.#waiting.delete(body.id);
      clearTimeout(waiting.timer);
      if (kind === 'ctrl' && body.code >= 400) waiting.reject(new Refused(body));
      else waiting.resolve(body);
    }
  }

  #lost(ws) {
    this.#ws = null;
    this.#open = false;
    for (const { reject, timer } of [...this.#waiting.values(), ...this.#eager.splice(0)]) {
      clearTimeout(timer);
      reject(new Refused({ text: 'connection lost' }));
    }
    this.#waiting.clear();
    if (ws.born && Date.now() - ws.born > STEADY_MS) this.#tries = 0;
    const pause = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** this.#tries++) * (0.5 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#dial(), pause);
    this.onState('lost');
  }

  // hurry is for when the network or the user is back: dial now, or see whether the connection still works.
  #hurry() {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send('1');
    else this.#dial();
  }
}
