// Small tools for the document.

export const $ = id => document.getElementById(id);

export function h(tag, props = {}, ...children) {
  const el = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith('on')) el.addEventListener(key.slice(2), value);
    else if (key in el) el[key] = value;
    else el.setAttribute(key, value);
  }
  el.append(...children.filter(c => c !== null && c !== undefined && c !== false));
  return el;
}

export function icon(name, label) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  if (label) { svg.setAttribute('role', 'img'); svg.setAttribute('aria-label', label); }
  svg.classList.add(`i-${name}`);
  return svg;
}

// keyed makes parent's children show items, in order. An element is made again only if its
// signature has changed, and moved only if it must be, so that focus and pictures stay.
export function keyed(parent, items, describe) {
  const old = parent.keyed ?? new Map(), now = parent.keyed = new Map();
  let next = parent.firstChild;
  for (const item of items) {
    const { key, build, ...rest } = describe(item);
    const signature = JSON.stringify(rest);
    let entry = old.get(key);
    if (entry?.signature !== signature) {
      const el = build();
      if (entry) { if (next === entry.el) next = el; entry.el.replaceWith(el); }
      entry = { el, signature };
    }
    now.set(key, entry);
    if (entry.el === next) next = next.nextSibling;
    else parent.insertBefore(entry.el, next);
    old.delete(key);
  }
  for (const { el } of old.values()) el.remove();
}
