// A page that is told variables of the environment, in a real Chromium under the strict policy: what it sees, and that
// nothing is fetched twice.
// Environment: BASE_URL, CA_FILE; API_URL, the value that the page must see; and what chromium.mjs takes.

import assert from 'node:assert/strict';

import { clean, launch } from './chromium.mjs';
import { baseUrl, check, finish } from './peer.mjs';

const expected = process.env.API_URL;
const faults = [];
const requests = [];
let link = '';

let browser;
try {
  browser = await check('Chromium starts', () => launch());
  if (browser) {
    const page = await browser.newPage({ baseURL: baseUrl.origin });
    page.on('console', (message) => faults.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
    page.on('request', (request) => requests.push(new URL(request.url()).pathname));
    await check('the page is told by window.__ENV__ and by placeholders', async () => {
      const response = await page.goto('/deep/link');
      link = response.headers().link ?? '';
      assert.match(response.headers()['content-security-policy'], /script-src [^;]*'sha256-/);
      assert.doesNotMatch(response.headers()['content-security-policy'], /script-src [^;]*unsafe-inline/);
      await page.waitForFunction(() => document.documentElement.dataset.script);
      const seen = await page.evaluate(() => ({ ...window.__ENV__ }));
      assert.deepEqual(seen, { PUBLIC_API_URL: expected, PUBLIC_STAGE: 'production' });
      assert.equal(await page.evaluate(() => Object.isFrozen(window.__ENV__)), true);
      assert.equal(await page.evaluate(() => document.documentElement.dataset.script), expected);
      assert.equal(await page.evaluate(() => document.documentElement.dataset.template), expected);
      assert.equal(await page.evaluate(() => document.documentElement.dataset.inline), expected);
      assert.equal(await page.getAttribute('#api', 'title'), expected);
      assert.equal(await page.textContent('#api'), expected);
    });
    await check('what the Link header named is used, and fetched once', async () => {
      await page.waitForLoadState('networkidle');
      const assets = requests.filter((path) => path.startsWith('/assets/'));
      assert.deepEqual(assets.toSorted(), [...new Set(assets)].toSorted());
      assert.equal(assets.length, 2);
      assert.equal(link.split(', ').length, 2, link);
    });
    await check('no word on the console', async () => assert.deepEqual(faults, []));
  }
} finally {
  await browser?.close();
  clean();
}
finish();
