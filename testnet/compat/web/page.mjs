// The page built into the node as a person uses it. Everything waits for what it shows.
import * as h from '../lib/h.mjs';
import { open, PEER } from './browser.mjs';

export class Page {
  static async start(who, options) { return Object.assign(new Page(), await open('page', who, options)); }

  // register makes an account through the form; the e-mail address is confirmed if the server asks for it.
  async register({ login = h.uniq(), pass = `pw-${login}`, name = `User ${login}`, stay = false } = {}) {
    Object.assign(this, { login, pass, name });
    await this.fillSignUp({ login, pass, name, stay });
    await this.page.locator('#code-form, #app').filter({ visible: true }).waitFor();
    if (await this.page.isVisible('#code')) {
      await this.page.fill('#code', h.CODE);
      await this.page.press('#code', 'Enter');
    }
    await this.inside();
    return this;
  }

  async fillSignUp({ login, pass, name, stay }) {
    const p = this.page;
    await p.getByRole('button', { name: 'Create account' }).first().click();
    await p.getByLabel('Your name').fill(name);
    await p.getByLabel('Login').fill(login);
    await p.getByLabel('Password').fill(pass);
    if (await p.getByLabel('E-mail').isVisible()) await p.getByLabel('E-mail').fill(`${login}@example.com`);
    if (stay) await p.getByLabel('Stay logged in').check();
    await p.locator('#entry-go').click();
  }

  async signIn({ login, pass, name }) {
    Object.assign(this, { login, pass, name });
    await this.trySignIn(login, pass);
    await this.inside();
  }

  async trySignIn(login, pass) {
    await this.page.getByLabel('Login').fill(login);
    await this.page.getByLabel('Password').fill(pass);
    await this.page.locator('#entry-go').click();
  }

  async signOut() {
    await this.page.getByRole('button', { name: 'Log out' }).click();
    await this.page.getByLabel('Password').waitFor();
  }

  async rename(name) {
    await this.page.locator('#profile').click();
    await this.page.locator('#ask').getByLabel('Your name').fill(name);
    await this.page.getByRole('button', { name: 'Save' }).click();
  }

  inside() { return this.page.locator('#profile').filter({ hasText: this.name }).waitFor(); }
  trouble(text) { return this.page.getByRole('alert').filter({ hasText: text }); }
  header(name) { return this.page.locator('#chat-name').filter({ hasText: name }); }
  contact(name) { return this.page.locator('#topics > li').filter({ has: this.page.locator('strong').filter({ hasText: name }) }); }
  about(text) { return this.page.locator('#chat-about').filter({ hasText: text }); }

  async search(query) {
    await this.page.fill('#find', query);
    await this.page.press('#find', 'Enter');
  }

  async find(query, name) {
    await this.search(query);
    await this.page.locator('#found-list a').filter({ hasText: name }).click();
    await this.ready(name);
  }

  async openChat(name) {
    await this.contact(name).click();
    await this.ready(name);
  }

  // meet opens the chat with somebody new; who is from another node is accepted.
  async meet(name) {
    await this.contact(name).click();
    if (PEER) await this.page.getByRole('button', { name: 'Accept' }).click();
    await this.ready(name);
  }

  async ready(name) {
    await this.header(name).waitFor();
    await this.page.locator('#text:enabled').waitFor();
  }

  // --- messages ---

  message(text) { return this.page.locator('#messages > .message').filter({ hasText: text }); }
  own(text) { return this.page.locator('#messages > .message.own').filter({ hasText: text }); }
  texts() { return this.page.locator('#messages .body').allInnerTexts(); }
  // mark waits for the sign of delivery: 'sent', 'received' or 'read'.
  mark(text, what) { return this.own(text).getByRole('img', { name: what, exact: true }).waitFor(); }

  async send(text) {
    await this.page.fill('#text', text);
    await this.page.press('#text', 'Enter');
    await this.own(text.split('\n')[0]).waitFor();
  }

  async tool(text, name) {
    await this.message(text).last().locator('.bubble').hover();
    await this.message(text).last().getByRole('button', { name }).click();
  }
  async reply(to, text) { await this.tool(to, 'Reply'); await this.send(text); }
  async edit(text, next) { await this.tool(text, 'Edit'); await this.send(next); }
  async remove(text, how) {
    await this.tool(text, 'Delete');
    await this.page.getByRole('button', { name: how }).click();
    await this.message(text).waitFor({ state: 'detached' });
  }

  // --- groups ---

  async newGroup(name) {
    await this.page.getByRole('button', { name: 'New group' }).click();
    await this.page.getByLabel('Name of the group').fill(name);
    await this.page.getByRole('button', { name: 'Create', exact: true }).click();
    await this.ready(name);
  }

  async members(fn) {
    await this.page.getByRole('button', { name: 'Members' }).click();
    await fn(this.page.locator('#ask'));
    await this.page.getByRole('button', { name: 'Close' }).click();
  }

  async addMember(name) {
    await this.members(async box => {
      await box.getByRole('button', { name: `Add ${name}` }).click();
      await box.getByRole('button', { name: `Remove ${name}` }).waitFor();
    });
  }

  // id is the user's own id; cut ends the connection as a network would.
  cut() { return this.page.evaluate(() => window.lastSocket.close()); }
  id() { return this.page.evaluate(() => JSON.parse(sessionStorage.getItem('parley.ticket')).user); }
}
