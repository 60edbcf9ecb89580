import { B, picture } from './browser.mjs';
import { WebApp } from './webapp.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;

// Two people, each in a window, who have found each other.
async function pair() {
  const [a, b] = await Promise.all([(await WebApp.start('alice')).register(), (await WebApp.start('bob')).register()]);
  await a.find(`basic:${b.login}`, b.name);
  return [a, b];
}

B('web app', 'register, log out, wrong password, log in', async () => {
  const a = await WebApp.start('alice');
  await a.register();
  await a.logout();
  await a.page.fill('#inputLogin', a.login);
  await a.page.fill('#inputPassword', 'wrong one');
  await a.page.getByRole('button', { name: 'Sign in' }).click();
  await a.page.locator('.alert-box, #alert-container, .alert').filter({ hasText: /auth/i }).first().waitFor();
  await a.login(a);
});

B('web app', 'find, first message, unread badge, ticks, presence, typing', async () => {
  const [a, b] = await pair();
  await a.send('hello bob');
  await b.unread(a.name).filter({ hasText: '1' }).waitFor();
  await a.mark('hello bob', 'sent');
  await b.contact(a.name).locator('.online').waitFor();
  await b.openChat(a.name);
  await b.message('hello bob', 'left').waitFor();
  await a.mark('hello bob', 'read');
  await b.unread(a.name).waitFor({ state: 'detached' });
  await b.type('well');
  await a.page.locator('#topic-caption-panel .online.typing').waitFor();
  await b.send('well, hello');
  await a.message('well, hello', 'left').waitFor();
  await b.mark('well, hello', 'read');
});
