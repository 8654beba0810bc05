// An installed PWA of `vite-plugin-pwa` (autoUpdate) under which the next release is put.
// Environment: BASE_URL, CA_FILE; ROOT, a folder with release 1; what chromium.mjs takes.

import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { clean, launch } from './chromium.mjs';
import { fetchFrom } from './fetch.mjs';
import { baseUrl, check, finish, note } from './peer.mjs';

const WAIT_MS = 30_000;
const faults = [];

async function openTab(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.on('console', (message) => faults.push(`console ${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  page.on('response', (response) => response.status() >= 400 && faults.push(`${response.status()}: ${response.url()}`));
  return page;
}

const shown = (page) => page.getByTestId('release').getAttribute('data-release');

/** What a request that goes around the service worker gets. */
const direct = (path) => fetchFrom(baseUrl.hostname, path);

async function install(page) {
  await page.goto('/');
  assert.equal(await shown(page), '1');
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
  const reloaded = await page.reload();
  assert.ok(reloaded.fromServiceWorker(), 'the page comes from the service worker');
  assert.equal(await shown(page), '1');
}

async function hasRightHeaders() {
  for (const [path, type] of [
    ['/sw.js', 'text/javascript; charset=utf-8'],
    ['/registerSW.js', 'text/javascript; charset=utf-8'],
    ['/manifest.webmanifest', 'application/manifest+json'],
    ['/index.html', 'text/html; charset=utf-8'],
  ]) {
    const { status, headers } = await direct(path);
    assert.deepEqual([status, headers['content-type'], headers['cache-control']], [200, type, 'no-cache'], path);
  }
  const { body } = await direct('/sw.js');
  const workbox = /workbox-[0-9a-f]+/.exec(body)?.[0];
  const { status, headers } = await direct(`/${workbox}.js`);
  assert.equal(status, 200, workbox);
  note(`${workbox}.js is ${headers['cache-control']}`);
}

async function deploy() {
  const next = fileURLToPath(new URL('spa/dist/pwa-2/', import.meta.url));
  const before = (await direct('/sw.js')).body;
  await cp(next, process.env.ROOT, { recursive: true });
  const started = Date.now();
  while ((await direct('/sw.js')).body.equals(before)) {
    assert.ok(Date.now() - started < WAIT_MS, 'the new service worker is not served');
    await sleep(100);
  }
}

/**
 * The worker looks for its next version as the plugin's guide has it do every hour, and as a navigation does; the page is
 * replaced once, by itself. (With a reload it is a race within the page whether the new worker is faster than the script
 * that waits for it.)
 */
async function update(page) {
  let loads = 0;
  page.on('load', () => (loads += 1));
  await page.evaluate(async () => void (await navigator.serviceWorker.getRegistration()).update());
  await page.locator('[data-release="2"]').waitFor();
  await page.getByTestId('to-3').click();
  await page.getByTestId('page-3').getByText('release 2').waitFor();
  assert.equal(loads, 1);
  const reloaded = await page.reload();
  assert.ok(reloaded.fromServiceWorker());
  assert.equal(await shown(page), '2');
}

let browser;
try {
  browser = await check('Chromium starts', () => launch());
  const context = await browser?.newContext({ baseURL: baseUrl.origin });
  if (context) {
    const page = await openTab(context);
    await check('release 1 is installed and served by its service worker', () => install(page), WAIT_MS);
    await check('no file of the worker is kept longer than it may be', () => hasRightHeaders());
    await check('release 2 is served', () => deploy(), WAIT_MS);
    await check('release 2 is there after one reload', () => update(page), WAIT_MS);
    await check('no console message, no failed request', async () => assert.deepEqual(faults, []));
  }
} finally {
  await browser?.close();
  clean();
}
finish();
