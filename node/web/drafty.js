// Drafty, the rich text of messages: {txt, fmt: [{at, len, tp | key}], ent: [{tp, data}]}.
// Nothing that comes from others is ever parsed as HTML: text goes into text nodes only,
// and addresses are followed only if their scheme is harmless.

const MAX_SPANS = 1000; // formats beyond are ignored
const MAX_DEPTH = 16;

const TAGS = { ST: 'strong', EM: 'em', DL: 'del', CO: 'code', HL: 'mark', QQ: 'blockquote', FM: 'div', RW: 'div' };

// Offsets count what a reader sees as characters, as the public clients do.
const segmenter = globalThis.Intl?.Segmenter && new Intl.Segmenter();
const split = text => segmenter ? Array.from(segmenter.segment(text), s => s.segment) : Array.from(text);

const isDrafty = content => typeof content === 'object' && content !== null && !Array.isArray(content);

// spans returns the formats, outermost first, with their types and data looked up.
function spans({ fmt, ent }, length) {
  if (!Array.isArray(fmt)) return [];
  return fmt.slice(0, MAX_SPANS).filter(isDrafty).map(f => {
    const e = f.tp ? { tp: f.tp } : Array.isArray(ent) && ent[f.key | 0] || {};
    const at = f.at | 0;
    return { at, end: Math.min(length, at + Math.max(0, f.len | 0)), tp: String(e.tp), data: isDrafty(e.data) ? e.data : {} };
  }).sort((a, b) => a.at - b.at || b.end - a.end || (b.tp === 'QQ') - (a.tp === 'QQ'));
}

// render returns content as a fragment of the document. attachment(tp, data) makes the
// element for an image or a file, name(user) the name of one who is mentioned.
export function render(content, { attachment, name }) {
  const out = document.createDocumentFragment();
  if (typeof content === 'string') {
    out.append(content);
    return out;
  }
  if (!isDrafty(content)) {
    out.append(Object.assign(document.createElement('em'), { textContent: 'This message cannot be shown.' }));
    return out;
  }
  const chars = split(String(content.txt ?? ''));
  const all = spans(content, chars.length);
  const inline = all.filter(s => s.at >= 0);

  const fill = (parent, from, to, depth) => {
    while (inline.length && inline[0].at < to) {
      const span = inline.shift();
      const start = Math.max(from, span.at), end = Math.min(to, span.end);
      if (start > span.at || depth > MAX_DEPTH) continue; // overlaps its neighbour, or too deep
      parent.append(chars.slice(from, start).join(''));
      const node = element(span, { attachment, name });
      if (node.container) fill(node.container, start, end, depth + 1);
      parent.append(node.container ?? node.whole);
      from = Math.max(from, end);
    }
    parent.append(chars.slice(from, to).join(''));
  };
  fill(out, 0, chars.length, 0);
  for (const s of all) if (s.at < 0 && s.data.mime !== 'text/x-drafty-fr') out.append(attachment(s.tp, s.data));
  return out;
}

// element returns {container} to be filled with the text of the span, or {whole} to stand for it.
function element({ tp, data }, { attachment, name }) {
  const make = (tag, props) => Object.assign(document.createElement(tag), props);
  switch (tp) {
    case 'BR': return { whole: make('br') };
    case 'HD': return { whole: '' };
    case 'LN': {
      const href = safeAddress(data.url);
      if (!href) break;
      return { container: make('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }) };
    }
    case 'MN': return { container: make('span', { className: 'mention', title: name(data.val) ?? '' }) };
    case 'VC': return { whole: make('em', { textContent: 'Call' }) };
    case 'IM': case 'EX': case 'AU': case 'VD': return { whole: attachment(tp, data) };
  }
  return { container: make(TAGS[tp] ?? 'span') };
}

export function safeAddress(text) {
  try {
    const url = new URL(text);
    return ['http:', 'https:', 'mailto:', 'tel:'].includes(url.protocol) ? url.href : '';
  } catch { return ''; }
}

// plain returns content as one line of text, without what it quotes.
export function plain(content) {
  if (typeof content === 'string') return content;
  if (!isDrafty(content)) return '';
  const chars = split(String(content.txt ?? ''));
  for (const s of spans(content, chars.length)) {
    if (s.tp === 'QQ' || s.tp === 'HD') chars.fill('', s.at, s.end);
    if (s.tp === 'BR' && s.at >= 0) chars[s.at] = '\n';
    if (s.tp === 'IM') chars[Math.max(0, s.at)] = 'Picture';
    if (['EX', 'AU', 'VD'].includes(s.tp) && s.data.mime !== 'text/x-drafty-fr') chars.push(`${s.data.name ?? 'File'}`);
  }
  return chars.join('').trim();
}

// compose turns typed text into content: lines and addresses become formats; text without any stays a string.
export function compose(text, quote) {
  const out = quote ?? { txt: '', fmt: [], ent: [] };
  const start = split(out.txt).length;
  const body = text.replaceAll('\n', ' ');
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) {
    out.fmt.push({ at: start + split(text.slice(0, i)).length, len: 1, tp: 'BR' });
  }
  for (const { 0: url, index } of text.matchAll(/\bhttps?:\/\/[^\s<>"]*[^\s<>".,:;!?)\]']/gi)) {
    out.fmt.push({ at: start + split(text.slice(0, index)).length, len: split(url).length, key: out.ent.length });
    out.ent.push({ tp: 'LN', data: { url } });
  }
  out.txt += body;
  return out.fmt.length ? out : out.txt;
}

// quote begins a reply: whom and what it answers, in the form that the public clients write.
export function quote(who, user, content, max = 60) {
  const chars = split(plain(content).replaceAll('\n', ' '));
  const text = chars.length > max ? chars.slice(0, max - 1).join('') + '…' : chars.join('');
  const head = split(who).length;
  return {
    txt: `${who} ${text}`,
    fmt: [
      { at: 0, len: head, key: 0 },
      { at: head, len: 1, tp: 'BR' },
      { at: 0, len: head + 1 + split(text).length, tp: 'QQ' },
    ],
    ent: [{ tp: 'MN', data: { val: user } }],
  };
}
