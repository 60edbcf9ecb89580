// Two people of two nodes who have not talked before, in the web app and on the page.
import { B, handle } from './browser.mjs';
import { Page } from './page.mjs';
import { WebApp } from './webapp.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;

B('web app', 'a stranger of another node is accepted: messages, ticks, presence, typing', async () => {
  const [a, b] = await Promise.all([(await WebApp.start('alice')).register(), (await WebApp.start('bob')).register()]);
  await a.find(handle(b), b.name);
  await a.send('hello bob');
  await b.openChat(a.name);
  await b.message('hello bob', 'left').waitFor();
  assert.equal(await b.page.locator('#send-message-input').count(), 0);
  await b.accept();
  await a.contact(b.name).locator('.online').waitFor();
  await b.contact(a.name).locator('.online').waitFor();
  await b.type('well');
  await a.page.locator('#topic-caption-panel .online.typing').waitFor();
  await b.send('well, hello');
  await b.mark('well, hello', 'read');
  assert.deepEqual(await a.texts(), ['hello bob', 'well, hello']);
  await b.context.close();
  await a.contact(b.name).locator('.offline').waitFor();
}, { apart: true });

B('page', 'a stranger of another node is accepted: messages, ticks, presence, typing, a new name', async () => {
  const [a, b] = await Promise.all([(await Page.start('alice')).register(), (await Page.start('bob')).register()]);
  await a.find(handle(b), b.name);
  await a.send('hello bob');
  await b.contact(a.name).click();
  await b.message('hello bob').waitFor();
  assert.equal(await b.page.locator('#composer').isVisible(), false);
  await b.page.getByRole('button', { name: 'Accept' }).click();
  await a.mark('hello bob', 'read');
  await a.about('online').waitFor();
  await b.about('online').waitFor();
  await b.ready(a.name);
  await b.page.locator('#text').pressSequentially('well');
  await a.about('typing').waitFor();
  await b.send('well, hello');
  await b.mark('well, hello', 'read');
  await a.rename('Alice the Second');
  await b.header('Alice the Second').waitFor();
  await b.context.close();
  await a.about('last seen').waitFor();
}, { apart: true });
