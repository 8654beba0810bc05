// The example client over two releases: a tab that is open when the second one is copied over the first works on.
// Environment: BASE_URL, CA_FILE; ROOT: the folder that is served, with the first release; NEXT: the second one.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

import { clean, launch } from './chromium.mjs';
import { baseUrl, check, finish } from './peer.mjs';

const { ROOT, NEXT } = process.env;
const WAIT_MS = 20_000;
/** Everything that went wrong in a page. There is no API here. */
const faults = [];
const browser = await launch();

async function open() {
  const page = await (await browser.newContext({ baseURL: baseUrl.origin })).newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    if (response.status() >= 400 && !pathname.startsWith('/api/')) faults.push(`${response.status()}: ${pathname}`);
  });
  await page.goto('/');
  await page.getByTestId('home').waitFor();
  return page;
}

/** What the page in a chunk of its own says of its release; none where it was not told. */
async function release(page) {
  await page.getByTestId('nav-about').click();
  await page.getByTestId('about').waitFor();
  return page.getByTestId('about-release').textContent({ timeout: 500 }).catch(() => undefined);
}

const tab = await open();

await check('a page under a policy of hashes is told the environment', async () => {
  assert.deepEqual(await tab.evaluate(() => ({ ...window.__ENV__ })), { PUBLIC_API_URL: '/api' });
  assert.match(await tab.evaluate(() => document.documentElement.dataset.theme ?? ''), /^(light|dark)$/);
});

await check('an open tab finds its chunks after the next release, and a new one is of that', async () => {
  execFileSync('sh', ['-c', 'rm -rf "$ROOT"/* && cp -r "$NEXT"/. "$ROOT"']);
  for (let told; told !== 'This is release 2.'; ) {
    const page = await open();
    told = await release(page);
    await page.context().close();
    await sleep(200);
  }
  // It never loaded this chunk before, and its file is gone from the folder.
  assert.equal(await release(tab), undefined);
}, 60_000);

await check('nothing went wrong on the way', async () => assert.deepEqual(faults, []));

await browser.close();
clean();
finish();
