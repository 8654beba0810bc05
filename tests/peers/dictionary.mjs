// Chromium loads a build, then the next one as a difference from it (RFC 9842).
// Environment: BASE_URL, CA_FILE; ROOT: the folder that is served, which has OLD; NEW: the name of the next chunk.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { clean, launch } from './chromium.mjs';
import { baseUrl, ca, check, finish, note } from './peer.mjs';

const { ROOT, OLD, NEW } = process.env;
const old = readFileSync(join(ROOT, OLD));
const next = old.toString().replaceAll('release 1', 'release 2');
const browser = await launch();
const context = await browser.newContext();
const page = await context.newPage();

async function until(what, holds) {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await holds()) return;
    await sleep(100);
  }
  throw new Error(`waited in vain for ${what}`);
}

/** The headers of an answer to a client that has the old chunk and takes nothing but `coding`. */
function ask(coding) {
  const hash = createHash('sha256').update(old).digest('base64');
  const headers = { 'accept-encoding': coding, 'available-dictionary': `:${hash}:` };
  return new Promise((resolve, reject) => {
    const asked = request(new URL(NEW, baseUrl), { ca, headers }, (answer) => {
      answer.resume();
      resolve(answer.headers);
    });
    asked.on('error', reject).end();
  });
}

await check('the first build is a dictionary', async () => {
  const [chunk] = await Promise.all([page.waitForResponse(/assets/), page.goto(baseUrl.href)]);
  const headers = await chunk.allHeaders();
  assert.equal(headers['use-as-dictionary'], 'match="index-*.js"');
  assert.equal(await page.evaluate('globalThis.release'), 'release 1');
  await until('the browser to offer it', async () => {
    const gone = page.waitForResponse(/index-gone/);
    await page.evaluate("fetch('/assets/index-gone1234.js')");
    const headers = await (await gone).request().allHeaders();
    return headers['available-dictionary'];
  });
});

await check('the next build comes as a difference', async () => {
  writeFileSync(join(ROOT, NEW), next);
  writeFileSync(join(ROOT, 'index.html'), readFileSync(join(ROOT, 'index.html'), 'utf8').replace(OLD, NEW));
  rmSync(join(ROOT, OLD));
  for (const coding of ['dcb', 'dcz']) {
    await until(coding, async () => (await ask(coding))['content-encoding'] === coding);
    const { 'content-length': length, vary } = await ask(coding);
    note(`${coding}: ${length} of ${next.length} bytes`);
    assert.ok(Number(length) * 10 < next.length);
    assert.match(vary, /available-dictionary/i);
  }
  const [chunk] = await Promise.all([page.waitForResponse(/assets/), page.goto(baseUrl.href)]);
  const coding = (await chunk.allHeaders())['content-encoding'];
  assert.ok(['dcb', 'dcz'].includes(coding), `${chunk.url()} came as ${coding}`);
  assert.equal(await page.evaluate('globalThis.release'), 'release 2');
  assert.equal(await page.evaluate((url) => fetch(url).then((answer) => answer.text()), chunk.url()), next);
});

await browser.close();
clean();
finish();
