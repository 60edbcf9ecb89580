// The page built into the node, alone and beside the web app.
import { B, BASE, content, handle, picture } from './browser.mjs';
import { Page } from './page.mjs';
import { WebApp } from './webapp.mjs';
import * as h from '../lib/h.mjs';
const { assert } = h;

// Two people, each in a window; alice has found bob, written to him, and he has the chat open.
async function pair() {
  const [a, b] = await Promise.all([(await Page.start('alice')).register(), (await Page.start('bob')).register()]);
  await a.find(handle(b), b.name);
  await a.send('hello bob');
  await b.meet(a.name);
  await b.message('hello bob').waitFor();
  return [a, b];
}

const clean = (...windows) => { for (const w of windows) assert.deepEqual(w.complaints, []); };

B('page', 'register, log out, wrong password, log in; a taken login is refused in words', async () => {
  const a = await Page.start('alice');
  await a.register();
  await a.signOut();
  await a.trySignIn(a.login, 'wrong one');
  await a.trouble('Login or password is wrong').waitFor();
  await a.signIn(a);
  const b = await Page.start('somebody');
  await b.fillSignUp({ login: a.login, pass: 'another-one', name: 'Somebody else' });
  await b.trouble('taken').waitFor();
  clean(a, b);
});

B('page', 'find, first message, unread, ticks, presence, typing', async () => {
  const [a, b] = await Promise.all([(await Page.start('alice')).register(), (await Page.start('bob')).register()]);
  await a.search('nobody-of-this-name');
  await a.page.getByText('Nobody found').waitFor();
  await a.find(handle(b), b.name);
  await a.send('hello bob');
  await a.mark('hello bob', 'received');
  await a.send('two\nlines and https://example.com/a?b=1.');
  await b.contact(a.name).getByText('2', { exact: true }).waitFor();
  assert.match(await b.page.title(), /^\(2\)/);
  await b.openChat(a.name);
  await b.page.getByText('New messages').waitFor();
  await a.mark('hello bob', 'read');
  assert.equal(await b.page.title(), 'parley');
  assert.equal(await b.message('two').locator('a').getAttribute('href'), 'https://example.com/a?b=1');
  assert.deepEqual(await b.texts(), ['hello bob', 'two\nlines and https://example.com/a?b=1.']);
  await b.about('online').waitFor();
  await b.page.locator('#text').pressSequentially('well');
  await a.about('typing').waitFor();
  await b.send('well, hello');
  await a.message('well, hello').waitFor();
  await b.mark('well, hello', 'read');
  await b.context.close();
  await a.about('last seen').waitFor();
  clean(a);
});

B('page', 'reply, edit, delete for everyone and for oneself', async () => {
  const [a, b] = await pair();
  await b.reply('hello bob', 'hello to you');
  await a.message('hello to you').locator('blockquote').filter({ hasText: 'hello bob' }).waitFor();
  await a.send('a mistaek');
  await a.edit('a mistaek', 'a mistake');
  await b.message('a mistake').filter({ hasText: 'edited' }).waitFor();
  assert.equal(await b.message('a mistaek').count(), 0);
  await a.remove('a mistake', 'Delete for everyone');
  await b.message('a mistake').waitFor({ state: 'detached' });
  await b.remove('hello to you', 'Delete for me');
  await b.page.reload();
  await b.message('hello bob').waitFor();
  assert.deepEqual(await b.texts(), ['hello bob']);
  assert.equal((await a.texts()).length, 2);
  clean(a, b);
});

B('page', 'a picture and a file reach the other side', async () => {
  const [a, b] = await pair();
  await a.page.setInputFiles('#attach', await picture(a));
  await b.page.waitForFunction(() => document.querySelector('.picture img')?.naturalWidth === 48, null, { polling: 100 });
  await b.page.setInputFiles('#attach', { name: 'list.txt', mimeType: 'text/plain', buffer: Buffer.from('milk, bread') });
  const [download] = await Promise.all([a.page.waitForEvent('download'), a.page.getByRole('button', { name: 'list.txt' }).click()]);
  assert.equal(await content(download), 'milk, bread');
  clean(a, b);
});

B('page', 'reload keeps the login and the open chat; long histories come page by page', async () => {
  const [a, b] = await pair();
  for (let i = 1; i <= 60; i++) await a.send(`number ${i}.`);
  await b.message('number 60.').waitFor();
  await b.page.reload();
  await b.message('number 60.').waitFor();
  assert.ok(!(await b.texts()).includes('number 1.'));
  for (const text of ['number 30.', 'number 5.', 'hello bob']) {
    await b.page.locator('#log').evaluate(log => log.scrollTo(0, 0));
    await b.message(text).waitFor();
  }
  assert.deepEqual(await b.texts(), ['hello bob', ...Array.from({ length: 60 }, (_, i) => `number ${i + 1}.`)]);
  clean(a, b);
});

B('page', 'what is written without a connection is sent once, when there is one', async () => {
  const [a, b] = await pair();
  await a.context.setOffline(true);
  await a.cut();
  await a.page.getByText('No connection').waitFor();
  await a.send('written offline');
  await b.send('meanwhile');
  await a.context.setOffline(false);
  await a.message('meanwhile').waitFor();
  await b.message('written offline').waitFor();
  await a.mark('written offline', 'read');
  assert.deepEqual(await b.texts(), ['hello bob', 'meanwhile', 'written offline']);
  assert.deepEqual(await a.texts(), ['hello bob', 'meanwhile', 'written offline']);
  await a.context.setOffline(true);
  await a.cut();
  await a.send('and left');
  await a.page.keyboard.press('Escape'); // the chat is closed before there is a connection
  await a.context.setOffline(false);
  await b.message('and left').waitFor();
});

B('page', 'one who is banned cannot write, and can again when let in', async () => {
  const [a, b] = await pair();
  await a.newGroup('Tea party');
  await a.addMember(b.name);
  await b.openChat('Tea party');
  await b.send('here I am');
  await a.message('here I am').waitFor();
  const owner = await h.connect({ base: BASE });
  await owner.t.loginBasic(a.login, a.pass);
  const [group, user] = [await a.page.evaluate(() => decodeURIComponent(location.hash.slice(1))), await b.id()];
  const g = owner.t.getTopic(group);
  await g.subscribe();
  await g.setMeta({ sub: { user, mode: 'N' } });
  await b.page.locator('#text:disabled').waitFor();
  await g.setMeta({ sub: { user, mode: 'JRWPS' } });
  await b.page.locator('#text:enabled').waitFor();
  await b.send('thank you');
  await a.message('thank you').waitFor();
});

B('page', 'a long absence leaves no gap', async () => {
  const a = await (await Page.start('alice')).register();
  const b = await h.user({ base: BASE });
  const text = i => `number ${i}.`;
  await b.t.getTopic(await a.id()).subscribe();
  await b.t.publish(await a.id(), text(0));
  await a.openChat(`User ${b.login}`);
  await a.message(text(0)).waitFor();
  await a.context.setOffline(true);
  await a.cut();
  for (let i = 1; i <= 120; i++) await b.t.publish(await a.id(), text(i));
  await a.context.setOffline(false);
  await a.message(text(120)).waitFor();
  await a.message(text(1)).waitFor();
  assert.deepEqual(await a.texts(), Array.from({ length: 121 }, (_, i) => text(i)));
});

B('page', 'group: create, add, talk, remove, leave', async () => {
  const [a, b] = await pair();
  const c = await (await Page.start('carol')).register();
  await a.newGroup('Tea party');
  await a.addMember(b.name);
  await a.members(async box => {
    await box.getByLabel('Find people to add').fill(handle(c));
    await box.getByLabel('Find people to add').press('Enter');
    await box.getByRole('button', { name: `Add ${c.name}` }).click();
    await box.getByRole('button', { name: `Remove ${c.name}` }).waitFor();
  });
  await a.send('who takes milk?');
  await b.openChat('Tea party');
  await c.meet('Tea party');
  await b.message('who takes milk?').waitFor();
  await b.send('I do');
  await c.message('I do').filter({ hasText: b.name }).waitFor();
  await a.message('I do').waitFor();
  await b.mark('I do', 'read');
  await a.members(async box => {
    await box.getByRole('button', { name: `Remove ${c.name}` }).click();
    await box.getByText(c.name).waitFor({ state: 'detached' });
  });
  await c.contact('Tea party').waitFor({ state: 'detached' });
  await b.page.getByRole('button', { name: 'Members' }).click();
  await b.page.getByRole('button', { name: 'Leave group' }).click();
  await b.contact('Tea party').waitFor({ state: 'detached' });
  await a.about('1 member').waitFor();
  clean(a, b, c);
});

B('page', 'two windows of one user agree', async () => {
  const [a, b] = await pair();
  const again = await Page.start('alice-elsewhere');
  await again.signIn(a);
  assert.equal(await again.contact(b.name).locator('.badge').count(), 0);
  await b.send('one');
  await a.message('one').waitFor(); // and it is seen there
  await again.contact(b.name).locator('.badge').waitFor({ state: 'detached' });
  await again.openChat(b.name);
  await again.send('two');
  await a.own('two').waitFor();
  await a.rename('Alice the Second');
  await b.header('Alice the Second').waitFor();
  await again.page.locator('#profile').filter({ hasText: 'Alice the Second' }).waitFor();
  clean(a, b, again);
});

B('page', 'people are found by the address that their profile shows', async () => {
  const [a, b] = [await (await Page.start('alice')).register(), await (await Page.start('bob')).register()];
  await b.page.locator('#profile').click();
  const address = await b.page.locator('#address').innerText();
  assert.match(address, /^\S+@\S+$/);
  await a.find(address, b.name);
  clean(a, b);
}, { strict: true });

B('page', 'what others send is never markup', async () => {
  const [a, b] = await pair();
  const evil = '<img src=x onerror="document.title=\'hacked\'"><script>document.title="hacked"</script>';
  await a.send(evil);
  await b.message(evil).waitFor();
  const c = await h.user({ fn: evil, base: BASE });
  await c.t.getTopic(await a.id()).subscribe();
  await c.t.publish(await a.id(), { txt: 'click here', fmt: [{ at: 0, len: 5, key: 0 }, { at: 6, len: 4, key: 1 }, { at: 0, len: 9e9, tp: '<b>' }, null, 7],
    ent: [{ tp: 'LN', data: { url: 'javascript:document.title="hacked"' } }, { tp: 'IM', data: { ref: 'https://elsewhere.example/x.png', mime: 'image/png' } }, null] });
  await a.openChat(evil.slice(0, 20));
  await a.message('on another site').waitFor();
  assert.equal(await a.page.locator('#messages a[href^="javascript"], #messages script, #messages img, #topics img').count(), 0);
  assert.doesNotMatch(await a.page.title() + await b.page.title(), /hacked/);
  clean(a, b);
});

B('page', 'it fits a phone and works by keyboard', async () => {
  const a = await (await Page.start('alice', { viewport: { width: 360, height: 640 } })).register();
  const b = await (await Page.start('bob')).register();
  await a.page.keyboard.press('Control+k');
  await a.page.keyboard.type(handle(b));
  await a.page.keyboard.press('Enter');
  await a.page.locator('#found-list a').focus();
  await a.page.keyboard.press('Enter');
  await a.ready(b.name);
  await a.send('from a phone');
  await a.own('from a phone').getByRole('img', { name: /sent|received|read/ }).waitFor();
  assert.equal(await a.page.evaluate(() => document.documentElement.scrollWidth), 360);
  assert.equal(await a.page.locator('#side').isVisible(), false);
  await a.page.locator('#text').focus();
  await a.page.keyboard.press('ArrowUp');
  await a.page.keyboard.press('End');
  await a.page.keyboard.type('!');
  await a.page.keyboard.press('Enter');
  await a.own('from a phone!').filter({ hasText: 'edited' }).waitFor();
  await a.page.keyboard.press('Escape');
  await a.contact(b.name).waitFor();
  assert.equal(await a.page.locator('#chat').isVisible(), false);
  clean(a, b);
});

B('page', 'talks with the web app: messages, ticks, reply, edit, picture', async () => {
  const a = await (await Page.start('alice')).register();
  const b = await (await WebApp.start('bob', { at: BASE })).register();
  await a.find(handle(b), b.name);
  await a.send('hello bob');
  await b.meet(a.name);
  await a.mark('hello bob', 'read');
  await b.reply('hello bob', 'hello to you');
  await a.message('hello to you').locator('blockquote').filter({ hasText: 'hello bob' }).waitFor();
  await a.reply('hello to you', 'and so on');
  await b.message('and so on', 'left').locator('.reply-quote').filter({ hasText: 'hello to you' }).waitFor();
  await b.mark('hello to you', 'read');
  await a.send('a mistaek');
  await a.edit('a mistaek', 'a mistake');
  await b.message('a mistake', 'left').filter({ hasText: 'edited' }).waitFor();
  await a.page.setInputFiles('#attach', await picture(a));
  await b.page.waitForFunction(() => [...document.querySelectorAll('#scroller img.inline-image')].some(i => i.naturalWidth === 48), null, { polling: 100 });
  await b.sendPicture(await picture(b, 270)); // travels as a file, with a small preview in the message
  await a.page.waitForFunction(() => [...document.querySelectorAll('.picture img')].some(i => i.naturalWidth === 270), null, { polling: 100 });
  clean(a);
});
