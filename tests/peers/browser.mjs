// A real Chromium on the real client over https, trusting the CA the way a user would: no error is ignored.
// Environment: BASE_URL, CA_FILE; SCREENSHOT_DIR, and what chromium.mjs takes.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { clean, launch } from './chromium.mjs';
import { baseUrl, check, finish, note } from './peer.mjs';

const WAIT_MS = 15_000;
/** Everything that went wrong in the page, in the order in which it did. */
const faults = [];
const sockets = [];

async function openPage(browser) {
  const page = await browser.newPage({ baseURL: baseUrl.origin, viewport: { width: 1000, height: 700 } });
  page.setDefaultTimeout(WAIT_MS);
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) faults.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  page.on('requestfailed', (request) => faults.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on('response', (response) => {
    if (response.status() >= 400) faults.push(`${response.status()}: ${response.url()}`);
  });
  page.on('websocket', (socket) => {
    const seen = { url: socket.url(), received: 0 };
    sockets.push(seen);
    socket.on('framereceived', () => (seen.received += 1));
    socket.on('socketerror', (error) => faults.push(`websocket: ${error}`));
  });
  await page.exposeFunction('reportViolation', (text) => faults.push(`CSP: ${text}`));
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) =>
      window.reportViolation(`${event.effectiveDirective} blocked ${event.blockedURI || 'inline'}`),
    );
  });
  return page;
}

async function shoot(page, name) {
  const folder = process.env.SCREENSHOT_DIR;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

function checkHome(page) {
  return check('the home page loads over https', async () => {
    const response = await page.goto('/');
    assert.equal(response.status(), 200);
    await page.getByTestId('home').waitFor();
    const security = await response.securityDetails();
    assert.match(security?.protocol ?? 'none', /^TLS 1\.[23]$/);
    note(`${security.protocol}, certificate by ${security.issuer}`);
    await shoot(page, 'home');
    return true;
  });
}

async function checkPage(page) {
  await check('the page comes over HTTP/2', async () => {
    assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol), 'h2');
  });
  await check('the inline script runs under a policy that has its hash and no unsafe-inline', async () => {
    const policy = (await (await settled(page)).reload()).headers()['content-security-policy'] ?? '';
    const scripts = policy.split(';').map((part) => part.trim()).find((part) => part.startsWith('script-src ')) ?? '';
    assert.match(scripts, /'sha(256|384|512)-/, `script-src is "${scripts}"`);
    assert.doesNotMatch(scripts, /unsafe-inline/);
    assert.match(await page.evaluate(() => document.documentElement.dataset.theme ?? ''), /^(light|dark)$/);
  });
}

async function checkRoutes(page) {
  await check('a deep link to /todos loads', async () => {
    assert.equal((await (await settled(page)).goto('/todos')).status(), 200);
    await page.getByTestId('todos').waitFor({ state: 'attached' });
  });
  await check('a todo can be added by clicking', async () => {
    const title = `todo ${Date.now()}`;
    await page.getByTestId('todo-title').fill(title);
    await page.getByTestId('todo-add').click();
    await page.getByTestId('todo').filter({ hasText: title }).waitFor();
    await shoot(page, 'todos');
  });
  await check('a reload on a client route stays there', async () => {
    assert.equal((await (await settled(page)).reload()).status(), 200);
    await page.getByTestId('todos').waitFor({ state: 'attached' });
    assert.equal(new URL(page.url()).pathname, '/todos');
  });
  await check('the lazy chunk of /about is loaded when one goes there', async () => {
    const [chunk] = await Promise.all([
      page.waitForResponse((response) => /\/assets\/About-.*\.js$/.test(response.url())),
      page.getByTestId('nav-about').click(),
    ]);
    assert.equal(chunk.status(), 200);
    await page.getByTestId('about').waitFor();
    await shoot(page, 'about');
  });
  await check('an unknown client route shows the not-found page of the client', async () => {
    await (await settled(page)).goto('/no/such/page');
    await page.getByTestId('not-found').waitFor();
  });
}

async function checkApi(page) {
  await check('whoami sees https and the name in the address bar', async () => {
    await (await settled(page)).goto('/whoami');
    const text = (name) => page.getByTestId(`whoami-${name}`).textContent();
    assert.equal(await text('protocol'), 'https');
    assert.equal(await text('secure'), 'true');
    assert.equal(await text('host'), baseUrl.host);
    await shoot(page, 'whoami');
  });
  await check('the live counter changes by itself and by a click, over a WebSocket', async () => {
    await page.getByTestId('nav-live').click();
    await page.getByTestId('transport').getByText('websocket').waitFor();
    const before = await changedFrom(page, '–');
    const after = await changedFrom(page, before);
    assert.ok(Number(after) > Number(before), `${before}, then ${after}`);
    await page.getByTestId('increment').click();
    await changedFrom(page, after);
    const socket = sockets.find(({ url }) => url.startsWith(`wss://${baseUrl.host}/socket.io/`));
    assert.ok(socket, `the sockets are ${sockets.map(({ url }) => url).join(' ') || 'none'}`);
    assert.ok(socket.received >= 3, `${socket.received} frames came`);
    await shoot(page, 'live');
  });
  await check('a reload on /live connects again', async () => {
    await (await settled(page)).reload();
    await page.getByTestId('transport').getByText('websocket').waitFor();
    await changedFrom(page, '–');
  });
}

/** The page with nothing on its way: leaving earlier would abort what still loads, the icon above all, and count as a fault. */
async function settled(page) {
  await page.waitForLoadState('networkidle');
  return page;
}

async function changedFrom(page, old) {
  const handle = await page.waitForFunction((text) => {
    const now = document.querySelector('[data-testid=count]')?.textContent;
    return now && now !== text ? now : undefined;
  }, old);
  return handle.jsonValue();
}

let browser;
try {
  browser = await check('Chromium starts', () => launch());
  if (browser) {
    const page = await openPage(browser);
    if (await checkHome(page)) {
      await checkPage(page);
      await checkRoutes(page);
      await checkApi(page);
    }
    await check('no console message, no CSP violation, no failed request', async () => assert.deepEqual(faults, []));
  }
} finally {
  await browser?.close();
  clean();
}
finish();
