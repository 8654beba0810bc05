// Release 2 is put over release 1 in every way that operators know, slowly, under tabs that stay open and use chunks that
// they never had, and under a poller that takes the newest page with everything that it may ask for.
// Environment: BASE_URL, CA_FILE; ROOTS, a folder with the root of each of `DEPLOYS`, on release 1, which is the site
// NAME.localhost; what chromium.mjs takes.

import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rename, rm, symlink, unlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { clean, launch } from './chromium.mjs';
import { fetchFrom } from './fetch.mjs';
import { baseUrl, check, finish, note } from './peer.mjs';

const WAIT_MS = 60_000;
/** Between two files of a copy. */
const BETWEEN_MS = 10;
/** A copy that hangs for so long looks like one that is over. */
const HANG_MS = 2_500;
const CLICK_MS = 300;
/** Between two looks at everything that is served. */
const ROUND_MS = 700;
/** Between two looks at the page. */
const PAGE_MS = 100;
const PAGES = 24;
/** Pages that a tab has not seen when the new release is there. */
const KEPT = 6;

const MIME = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8' };

const DEPLOYS = {
  // cp -r, with what a file system gives first.
  'index-first': async (root) => {
    const [index, ...rest] = await named('index.html');
    await copy(root, [index]);
    await sleep(HANG_MS);
    await copy(root, rest);
  },
  'index-amid': async (root) => {
    const [index, ...rest] = await named('index.html');
    await copy(root, rest.slice(0, 10));
    await copy(root, [index]);
    await sleep(HANG_MS);
    await copy(root, rest.slice(10));
  },
  'index-last': async (root) => {
    const [index, ...rest] = await named('index.html');
    await copy(root, rest);
    await sleep(HANG_MS);
    await copy(root, [index]);
  },
  // The page and the script that it names are there, and not one of the chunks that the script loads.
  'chunks-last': async (root) => {
    const [index, ...rest] = await named('index.html');
    const entry = rest.filter((name) => name.includes('/index-'));
    await copy(root, [index, ...entry]);
    await sleep(HANG_MS);
    await copy(root, rest.filter((name) => !entry.includes(name)));
  },
  // rm -rf root/*; cp -r
  'deleted-first': async (root) => {
    for (const name of await readdir(root)) await rm(join(root, name), { recursive: true });
    await sleep(HANG_MS);
    const [index, ...rest] = await named('index.html');
    await copy(root, [...rest.slice(0, 20), index]);
    await sleep(HANG_MS);
    await copy(root, rest.slice(20));
  },
  // rsync -a --delete: the files of a folder before its folders, hidden until they are whole, times as they were.
  rsync: async (root) => {
    const files = await named('index.html');
    for (const name of files) {
      if (name === files[1]) {
        for (const old of await readdir(join(root, 'assets'))) await unlink(join(root, 'assets', old));
        await sleep(HANG_MS);
      }
      const hidden = join(dirname(join(root, name)), '.partial.x1Y2z3');
      await write(hidden, releases[2].get(`/${name}`));
      await utimes(hidden, 1_700_000_000, 1_700_000_000);
      await rename(hidden, join(root, name));
    }
  },
  // The root is a link, which is pointed elsewhere.
  link: async (root) => {
    await copy(`${root}.2`, await named('index.html'));
    await symlink(`${root}.2`, `${root}.new`);
    await rename(`${root}.new`, root);
  },
  // The root is moved away, and for a while there is none.
  rename: async (root) => {
    await copy(`${root}.2`, await named('index.html'));
    await rename(root, `${root}.old`);
    await sleep(HANG_MS);
    await rename(`${root}.2`, root);
  },
};

/** Of each release the bytes by path. */
const releases = { 1: await release(1), 2: await release(2) };

async function release(number) {
  const folder = fileURLToPath(new URL(`spa/dist/${number}`, import.meta.url));
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(paths.map(async (path) => [path.slice(folder.length), await readFile(path)])));
}

/** The files of release 2 by their relative names, one of them first. */
async function named(first) {
  const names = [...releases[2].keys()].map((path) => path.slice(1));
  return [first, ...names.filter((name) => name !== first)];
}

async function copy(root, names) {
  for (const name of names) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await write(join(root, name), releases[2].get(`/${name}`));
  }
}

/** Writes a file as `cp` does, so that half of it can be seen. */
async function write(path, bytes) {
  const half = bytes.length >> 1;
  await writeFile(path, bytes.subarray(0, half));
  await sleep(BETWEEN_MS);
  await writeFile(path, bytes.subarray(half), { flag: 'a' });
}

/** Which release the page is of; it must be of one, whole. */
async function served(host) {
  const { status, headers, body } = await fetchFrom(host, '/', 'text/html');
  const number = [1, 2].find((each) => releases[each].get('/index.html').equals(body));
  assert.ok(status === 200 && number, `the page is ${status}: ${body.subarray(0, 200)}`);
  assert.equal(headers['content-type'], MIME['.html']);
  assert.equal(headers['cache-control'], 'no-cache');
  return number;
}

async function hasAllOf(host, number) {
  const files = [...releases[number]].filter(([path]) => path !== '/index.html');
  await Promise.all(
    files.map(async ([path, bytes]) => {
      const { status, headers, body } = await fetchFrom(host, path);
      assert.equal(status, 200, `${path} of release ${number}`);
      assert.ok(body.equals(bytes), `${path} has other bytes`);
      assert.equal(headers['content-type'], MIME[extname(path)]);
      assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable');
    }),
  );
}

/** Takes the page and all that it may ask for, over and over, until it is told to end. */
async function poll(host, told) {
  const rounds = { 1: 0, 2: 0 };
  let newest = 1;
  while (!told.end) {
    const number = await served(host);
    assert.ok(number >= newest, 'release 1 came back');
    newest = number;
    told.newest = number;
    await hasAllOf(host, number);
    rounds[number] += 1;
    for (let waited = 0; waited < ROUND_MS && !told.end; waited += PAGE_MS) {
      await sleep(PAGE_MS);
      if ((await served(host)) !== newest) break;
    }
  }
  return rounds;
}

async function openTab(browser, host) {
  const faults = [];
  const context = await browser.newContext({ baseURL: `https://${host}:${baseUrl.port}` });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.on('console', (message) => faults.push(`console ${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  page.on('requestfailed', (request) => faults.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  page.on('response', (response) => response.status() >= 400 && faults.push(`${response.status()}: ${response.url()}`));
  await page.goto('/');
  return { page, faults };
}

/** Clicks on the link to a page and waits for it, inside the browser: a round trip for each step would be most of the work. */
async function visit({ page, faults }, index, number) {
  const shown = await page.evaluate(async (index) => {
    const find = (id) => document.querySelector(`[data-testid=${id}]`);
    find(`to-${index}`).click();
    // A chunk that fails leaves an empty page.
    while (!find(`page-${index}`) && find('release')) await new Promise((resolve) => setTimeout(resolve, 10));
    return find(`page-${index}`)?.textContent;
  }, index);
  assert.deepEqual([shown, faults], [`release ${number}`, []]);
}

async function deploy(browser, name, put) {
  const host = `${name}.localhost`;
  const told = { end: false, newest: 1 };
  const tab = await openTab(browser, host);
  const polling = poll(host, told);
  // It is awaited below, after the clicks.
  polling.catch(() => {});
  let next = 0;
  await visit(tab, next++, 1);
  const putting = put(join(process.env.ROOTS, name));
  putting.catch(() => {});
  const started = Date.now();
  while (told.newest === 1) {
    assert.ok(Date.now() - started < WAIT_MS, 'release 2 is not served');
    await Promise.race([polling, sleep(CLICK_MS)]);
    if (next < PAGES - KEPT) await visit(tab, next++, 1);
  }
  await putting;
  const during = next;
  while (next < PAGES) await visit(tab, next++, 1);
  const second = await openTab(browser, host);
  for (const index of [0, PAGES - 1]) await visit(second, index, 2);
  await hasAllOf(host, 1);
  told.end = true;
  const rounds = await polling;
  assert.ok(rounds[1] > 0 && rounds[2] > 0, JSON.stringify(rounds));
  assert.deepEqual([...tab.faults, ...second.faults], []);
  note(`${name}: ${rounds[1]} + ${rounds[2]} rounds, ${during} of ${PAGES} chunks before release 2`);
  await tab.page.context().close();
  await second.page.context().close();
}

let browser;
try {
  browser = await check('Chromium starts', () => launch());
  if (browser) {
    const deploys = Object.entries(DEPLOYS).map(([name, put]) =>
      check(`${name}: an open tab works on and a new one gets release 2`, () => deploy(browser, name, put), 2 * WAIT_MS),
    );
    await Promise.all(deploys);
  }
} finally {
  await browser?.close();
  clean();
}
finish();
