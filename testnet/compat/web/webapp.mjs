// The unmodified tinode-webapp as a person uses it. Everything waits for what it shows.
import * as h from '../lib/h.mjs';
import { open, PEER, WAIT_MS } from './browser.mjs';

const icon = name => `i.material-icons:text-is("${name}")`;
const exact = s => new RegExp(`^${s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);

export class WebApp {
  // start opens the app in a window of its own.
  static async start(who, options) {
    const w = await open('webapp', who, options);
    return Object.assign(new WebApp(), w);
  }

  // register makes an account through the form; the e-mail address is confirmed if the server asks for it.
  async register({ login = h.uniq(), pass = `pw-${login}`, name = `User ${login}`, stay = false } = {}) {
    Object.assign(this, { login, pass, name });
    const p = this.page;
    await this.fillSignUp({ login, pass, name, stay });
    const code = p.locator('#enter-confirmation-code');
    await this.title(name).or(code).first().waitFor();
    if (await code.isVisible()) {
      await code.fill(h.CODE);
      await p.getByRole('button', { name: 'Confirm' }).click();
    }
    await this.title(name).waitFor();
    return this;
  }

  async fillSignUp({ login, pass, name, stay }) {
    const p = this.page;
    await p.locator('#side-caption-panel a').filter({ has: p.locator(icon('person_add')) }).click();
    const form = p.locator('form.panel-form-column');
    await form.getByPlaceholder('Login').fill(login);
    await form.getByPlaceholder('Password').fill(pass);
    await form.getByPlaceholder('Full name').fill(name);
    await p.evaluate(() => new Promise(r => setTimeout(r))); // the app learns the password in a timer after the field is left
    const email = form.getByPlaceholder('Email');
    await email.waitFor(); // the app shows it, whatever the server asks for, when the server has answered
    await email.fill(`${login}@example.com`);
    if (stay) await form.locator('#save-token').click();
    await form.getByRole('button', { name: 'Sign up' }).click();
  }

  async signIn({ login, pass, name }, { stay = false } = {}) {
    Object.assign(this, { login, pass, name });
    await this.trySignIn(login, pass, stay);
    await this.title(name).waitFor();
    return this;
  }

  async trySignIn(login, pass, stay) {
    await this.page.getByPlaceholder('Login').fill(login);
    await this.page.getByPlaceholder('Password').fill(pass);
    if (stay) await this.page.click('#save-token');
    await this.page.getByRole('button', { name: 'Sign in' }).click();
  }

  error(text) { return this.page.locator('.info-box').filter({ hasText: text }); }

  async signOut() {
    await this.page.locator('#side-caption-panel a').filter({ has: this.page.locator(icon('settings')) }).click();
    await this.page.locator('a').filter({ hasText: 'Security' }).click();
    await this.page.locator('a').filter({ hasText: 'Logout' }).click();
    await this.page.locator('#inputLogin').waitFor();
  }

  title(name) { return this.page.locator('#sidepanel-title').filter({ hasText: exact(name) }); }
  header() { return this.page.locator('#topic-title'); }
  contact(name) { return this.page.locator('#sidepanel .contact-box > li').filter({ hasText: name }); }
  unread(name) { return this.contact(name).locator('.unread'); }

  async newTopic(tab) {
    await this.page.locator('#side-caption-panel a').filter({ has: this.page.locator(icon('chat')) }).click();
    await this.page.locator('.tabbar').waitFor();
    if (tab !== 'find') await this.page.locator(`.tabbar a[data-id="${tab}"]`).click(); // find is shown at first
  }

  // find searches and opens the chat with the one that is found.
  async find(query, name) {
    await this.newTopic('find');
    await this.page.fill('input.search', query);
    await this.page.press('input.search', 'Enter');
    await this.contact(name).click();
    await this.header().filter({ hasText: name }).waitFor();
  }

  async openChat(name) {
    await this.contact(name).click();
    await this.header().filter({ hasText: name }).waitFor();
  }

  // meet opens the chat with somebody new; from another node that is an invitation, which is accepted.
  async meet(name) {
    await this.openChat(name);
    if (PEER) await this.accept();
    await this.page.locator('#send-message-input').waitFor();
  }

  // accept answers an invitation until the app takes the answer: a click before it is attached comes to nothing, and
  // when it draws itself between the node's answer and learning its own new rights, it shows the buttons for good.
  async accept() {
    const button = this.page.getByRole('button', { name: 'Accept' });
    const input = this.page.locator('#send-message-input');
    await button.click();
    for (const end = Date.now() + WAIT_MS; Date.now() < end; ) {
      if (await input.waitFor({ timeout: WAIT_MS / 10 }).then(() => true, () => false)) return;
      if (await button.isVisible()) await button.click();
    }
  }

  // --- messages ---

  // message is the bubble that holds the text; side: 'left' from others, 'right' own.
  message(text, side) { return this.page.locator(`#scroller > li${side ? '.' + side : ''}`).filter({ hasText: text }); }
  texts() { return this.page.locator('#scroller > li:not(.meta) .message-content').allInnerTexts(); }

  async type(text) { await this.page.locator('#send-message-input').pressSequentially(text); }
  // send waits until the server has it: what is written before the app is attached, it publishes in another order.
  async send(text) {
    await this.page.fill('#send-message-input', text);
    await this.page.press('#send-message-input', 'Enter');
    await this.mark(text, 'sent');
  }

  // mark waits for the sign of delivery: 'done' sent, 'done_all' received, read: the same in blue.
  async mark(text, what) {
    const sign = { sent: `${icon('done')}, .timestamp ${icon('done_all')}`, received: icon('done_all'), read: `i.blue:text-is("done_all")` }[what];
    await this.message(text, 'right').locator(`.timestamp ${sign}`).first().waitFor();
  }

  async menu(text, item) {
    const m = this.message(text).last();
    await m.locator('.bubble').hover();
    await m.locator('.menuTrigger a').click();
    await this.page.locator('ul.menu > li').filter({ hasText: exact(item) }).click();
  }
  async reply(to, text) { await this.menu(to, 'Reply'); await this.page.locator('#reply-quote-preview').waitFor(); await this.send(text); }
  async edit(text, next) {
    await this.menu(text, 'Edit');
    await this.page.waitForFunction(t => document.querySelector('#send-message-input').value === t, text);
    await this.send(next);
  }

  async sendPicture(file, caption = '') {
    await this.page.locator('#send-message-panel input[type=file][accept^="image"]').setInputFiles(file);
    await this.page.locator('#image-preview img').waitFor();
    if (caption) await this.page.fill('#image-preview #send-message-input', caption);
    await this.page.locator('#image-preview a[title="Send message"]').click();
  }

  async sendFile(file) {
    await this.page.locator('#send-message-panel input[type=file]:not([accept])').setInputFiles(file);
    await this.page.locator('a[title="Send message"]').click();
  }

  // --- groups ---

  async newGroup(name) {
    await this.newTopic('grp');
    await this.page.fill('#new-topic-fn', name);
    await this.page.getByRole('button', { name: 'Create' }).click();
    await this.header().filter({ hasText: name }).waitFor();
  }

  async info() {
    await this.page.locator('#topic-caption-panel a').filter({ has: this.page.locator(icon('more_vert')) }).click();
    await this.page.locator('ul.menu > li').filter({ hasText: exact('Info') }).click();
    await this.page.locator('#info-view').waitFor();
  }

  async addMembers(...names) {
    await this.info();
    await this.page.locator('#info-view a').filter({ hasText: 'Add members' }).click();
    for (const n of names) await this.page.locator('#group-manager .contact-box > li').filter({ hasText: n }).click();
    await this.page.locator('#group-manager').getByRole('button', { name: 'OK' }).click();
    await this.page.locator('#info-view-content .contact-box > li').nth(names.length).waitFor(); // the app shows them without names at first
    await this.page.locator('#info-caption-panel a').click();
  }

  async leaveGroup() {
    await this.info();
    await this.page.locator('#info-view a').filter({ hasText: 'Security' }).click();
    await this.page.locator('#info-view a').filter({ hasText: 'Leave' }).click();
    await this.page.locator('.alert').getByRole('button', { name: 'OK' }).click();
  }
}
