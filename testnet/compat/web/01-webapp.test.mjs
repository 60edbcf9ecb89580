// The unmodified tinode-webapp: what people do with it, in two or three windows.
import { B, clients, content, handle, picture } from './browser.mjs';
import { WebApp } from './webapp.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;

const known = w => handle(w).replace(/^[^@]*$/, 'basic:$&');

// Two people, each in a window; alice has found bob, written to him, and he has the chat open.
async function pair() {
  const [a, b] = await Promise.all([(await WebApp.start('alice')).register(), (await WebApp.start('bob')).register()]);
  await a.find(known(b), b.name);
  await a.send('hello bob');
  await b.meet(a.name);
  await b.message('hello bob', 'left').waitFor();
  return [a, b];
}

// loaded waits for a picture of that width in the chat and returns its address.
const loaded = async (w, width) => (await w.page.waitForFunction(n => [...document.querySelectorAll('#scroller img.inline-image')]
  .find(i => i.naturalWidth === n)?.src, width, { polling: 100 })).jsonValue();

B('web app', 'register, log out, wrong password, log in', async () => {
  const a = await WebApp.start('alice');
  await a.register();
  await a.signOut();
  await a.trySignIn(a.login, 'wrong one');
  await a.error('authentication failed').waitFor();
  await a.signIn(a);
});

B('web app', 'a login that is taken is refused in words', async () => {
  const a = await (await WebApp.start('alice')).register();
  const b = await WebApp.start('somebody');
  await b.fillSignUp({ login: a.login, pass: 'another-one', name: 'Somebody else' });
  await b.error(/duplicate|exists|taken/i).waitFor();
});

B('web app', 'find, first message, unread badge, presence, typing', async () => {
  const [a, b] = await Promise.all([(await WebApp.start('alice')).register(), (await WebApp.start('bob')).register()]);
  await a.find(known(b), b.name);
  await a.send('hello bob');
  await a.mark('hello bob', 'sent');
  await b.unread(a.name).filter({ hasText: /^1$/ }).waitFor();
  await b.contact(a.name).locator('.online').waitFor();
  await a.contact(b.name).locator('.online').waitFor();
  await a.send('are you there?');
  await b.unread(a.name).filter({ hasText: /^2$/ }).waitFor();
  await b.openChat(a.name);
  await b.message('hello bob', 'left').waitFor();
  await b.unread(a.name).waitFor({ state: 'detached' });
  await b.type('well');
  await a.page.locator('#topic-caption-panel .online.typing').waitFor();
  await b.send('well, hello');
  await a.message('well, hello', 'left').waitFor();
  assert.deepEqual(await a.texts(), ['hello bob', 'are you there?', 'well, hello']);
  await b.context.close();
  await a.contact(b.name).locator('.offline').waitFor();
});

B('web app', 'ticks: sent, received, read', async () => {
  const [a, b] = await pair();
  await b.send('one');
  await b.mark('one', 'read');
  await a.signOut();
  await b.send('two');
  await b.mark('two', 'sent');
  await a.signIn(a);
  await a.openChat(b.name);
  await b.mark('two', 'read');
});

B('web app', 'reply, edit, delete for all', async () => {
  const [a, b] = await pair();
  await b.reply('hello bob', 'hello to you');
  await a.message('hello to you', 'left').locator('.reply-quote').filter({ hasText: 'hello bob' }).waitFor();
  await a.send('a mistaek');
  await a.edit('a mistaek', 'a mistake');
  await b.message('a mistake', 'left').filter({ hasText: 'edited' }).waitFor();
  await b.message('a mistaek').waitFor({ state: 'detached' });
  await b.send('to be forgotten');
  await a.message('to be forgotten').waitFor();
  await b.menu('to be forgotten', 'Delete for All');
  await a.message('to be forgotten').waitFor({ state: 'detached' });
  await b.message('to be forgotten').waitFor({ state: 'detached' });
});

B('web app', 'a picture and a file reach the other side and can be had again', async () => {
  const [a, b] = await pair();
  await a.sendPicture(await picture(a), 'our flag');
  await b.message('our flag', 'left').locator('img.inline-image').waitFor();
  assert.doesNotMatch(await loaded(b, 48), /file/);
  await b.sendPicture(await picture(b, 270)); // too large to travel inside of the message
  assert.match(await loaded(a, 270), /\/v0\/file\/s\//);
  const text = 'milk, bread\n'.repeat(20_000); // so is this
  await a.sendFile({ name: 'list.txt', mimeType: 'text/plain', buffer: Buffer.from(text) });
  const [download] = await Promise.all([b.page.waitForEvent('download'), b.message('list.txt', 'left').locator('.attachment a').click()]);
  assert.equal(await content(download), text);
});

B('web app', 'reload keeps the login and shows the history', async () => {
  const a = await (await WebApp.start('alice')).register({ stay: true });
  const b = await (await WebApp.start('bob')).register();
  await b.find(known(a), a.name);
  for (const text of ['one', 'two', 'three']) await b.send(text);
  await a.meet(b.name);
  await a.message('three').waitFor();
  const home = new URL('/', a.page.url()).href;
  await a.page.goto('about:blank'); // what comes in while its page goes away, the app can miss for good
  await b.send('four');
  await a.page.goto(home);
  await a.openChat(b.name); // by hand: a chat that the app opens by itself on a slow link, it leaves empty
  await a.message('four').waitFor();
  assert.deepEqual(await a.texts(), ['one', 'two', 'three', 'four']);
  const again = await WebApp.start('alice-elsewhere'); // where nothing is cached
  await again.signIn(a);
  await again.openChat(b.name);
  await again.message('four').waitFor();
  assert.deepEqual(await again.texts(), ['one', 'two', 'three', 'four']);
  await again.send('five');
  await a.message('five', 'right').waitFor();
});

B('web app', 'people are found by their login and by their address', async () => {
  const a = await (await WebApp.start('alice')).register();
  const [b, c] = [await h.user({ me: false, base: clients.webapp.base }), await h.user({ me: false, base: clients.webapp.base })];
  await a.find(b.login, `User ${b.login}`);
  await a.find(`${c.login}@${c.uid.split('@')[1]}`, `User ${c.login}`);
}, { strict: true });

B('web app', 'group: create, invite, talk, leave', async () => {
  const [a, b] = await pair();
  await a.newGroup('Tea party');
  await a.addMembers(b.name);
  await a.send('who takes milk?');
  await b.openChat('Tea party');
  await b.message('who takes milk?', 'left').filter({ hasText: a.name }).waitFor();
  await b.send('I do');
  await a.message('I do', 'left').waitFor();
  await b.leaveGroup();
  await b.contact('Tea party').waitFor({ state: 'detached' });
  assert.equal(await a.contact('Tea party').count(), 1);
});
