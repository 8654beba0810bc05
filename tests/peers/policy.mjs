// A real Chromium under the content security policy of a page: what it runs, what it refuses, what it reports.
// Environment: BASE_URL, CA_FILE, METRICS (address of the proxy's metrics), NONCE=1 when the page has nonces; and what
// chromium.mjs takes.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import { clean, launch } from './chromium.mjs';
import { baseUrl, check, finish, note } from './peer.mjs';

const hasNonce = process.env.NONCE === '1';

function nonceOf(response) {
  return /'nonce-([^']+)'/.exec(response.headers()['content-security-policy'] ?? '')?.[1];
}

/** Runs in the page: adds elements as an injection would, and as a library would that knows the nonce. */
function add({ tag, text, nonce }) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (nonce) element.nonce = document.querySelector('meta[property=csp-nonce]').nonce;
  document.head.append(element);
}

function styleOf(page, id, property) {
  return page.evaluate(([id, property]) => getComputedStyle(document.getElementById(id))[property], [id, property]);
}

async function reports() {
  const text = await (await fetch(process.env.METRICS)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('portcullis_csp_reports_total'));
  return lines.filter((line) => !line.endsWith(' 0'));
}

async function checkAllowed(page) {
  await check('the scripts and styles of the page are applied', async () => {
    await page.waitForFunction(() => window.ran?.includes('module'));
    const ran = await page.evaluate(() => window.ran);
    assert.deepEqual(ran, ['first', 'second', 'module']);
    assert.equal(await styleOf(page, 'styled', 'color'), 'rgb(1, 2, 3)');
  });
  if (!hasNonce) return;
  await check('a style attribute is applied', async () => {
    assert.equal(await styleOf(page, 'styled', 'marginLeft'), '7px');
  });
  await check('what has the nonce is applied when it is added later', async () => {
    await page.evaluate(add, { tag: 'script', text: 'ran.push("later")', nonce: true });
    await page.evaluate(add, { tag: 'style', text: '#later { color: rgb(4, 5, 6) }', nonce: true });
    assert.ok((await page.evaluate(() => window.ran)).includes('later'));
    assert.equal(await styleOf(page, 'later', 'color'), 'rgb(4, 5, 6)');
  });
}

async function checkForbidden(page) {
  await check('what is injected is refused', async () => {
    await page.evaluate(add, { tag: 'script', text: 'ran.push("injected")' });
    await page.evaluate(add, { tag: 'style', text: '#styled { color: rgb(9, 9, 9) }' });
    assert.ok(!(await page.evaluate(() => window.ran)).includes('injected'));
    assert.equal(await styleOf(page, 'styled', 'color'), 'rgb(1, 2, 3)');
  });
  await check('and reported', async () => {
    const wanted = ['script-src-elem', 'style-src-elem'];
    let found = [];
    while (!wanted.every((name) => found.some((line) => line.includes(`"${name}"`)))) {
      await sleep(100);
      found = await reports();
    }
    note(found.join(' '));
    assert.ok(found.every((line) => line.includes('disposition="enforce"')));
  }, 60_000);
}

let browser;
try {
  // Reports are sent after a minute otherwise.
  browser = await check('Chromium starts', () => launch(['--short-reporting-delay']));
  const page = await browser.newPage({ baseURL: baseUrl.origin });
  const first = await page.goto('/');
  const nonce = nonceOf(first);
  if (hasNonce) {
    await check('a reload has another nonce', async () => {
      const second = nonceOf(await page.reload());
      assert.match(nonce, /^[\w-]{24}$/);
      assert.match(second, /^[\w-]{24}$/);
      assert.notEqual(nonce, second);
    });
  } else {
    await check('there is no nonce', async () => assert.equal(nonce, undefined));
  }
  await checkAllowed(page);
  await checkForbidden(page);
} finally {
  await browser?.close();
  clean();
}
finish();
