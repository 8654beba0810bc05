// A page of another site in a real Chromium that blocks third-party cookies, with Socket.IO by polling alone.
// Environment: BASE_URL, CA_FILE; CLIENTS (default 9), ROUNDS (5), and what chromium.mjs takes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';

import { clean, launch } from './chromium.mjs';
import { baseUrl, check, finish, integerFromEnv, note } from './peer.mjs';

const CLIENTS = integerFromEnv('CLIENTS', 9);
const ROUNDS = integerFromEnv('ROUNDS', 5);
const WAIT_MS = 20_000;
const LIBRARY = readFileSync(new URL('node_modules/socket.io-client/dist/socket.io.min.js', import.meta.url));
const PAGE = '<!doctype html><link rel="icon" href="data:,"><script src="/socket.io.js"></script>';

/** The other site: `127.0.0.1`, where the proxy is `localhost`. */
async function site() {
  const server = http.createServer((request, response) => {
    const isScript = request.url === '/socket.io.js';
    response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? LIBRARY : PAGE);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/** Runs in the page: one client after the other, and the instances that answered each. */
async function talk({ url, clients, rounds, patience }) {
  const served = [];
  for (let number = 0; number < clients; number += 1) {
    const socket = io(url, { transports: ['polling'], withCredentials: true, forceNew: true, reconnection: false });
    const event = (name) =>
      new Promise((resolve, reject) => {
        socket.once(name, resolve);
        socket.once('connect_error', (error) => reject(new Error(`${error.message} (${error.description})`)));
        socket.once('disconnect', (why) => reject(new Error(why)));
        setTimeout(() => reject(new Error(`no ${name}`)), patience);
      });
    await event('connect');
    const instances = new Set();
    for (let round = 0; round < rounds; round += 1) {
      const pong = event('pong');
      socket.emit('ping', `${number}/${round}`);
      instances.add((await pong).instance);
    }
    socket.off('disconnect').disconnect();
    served.push([...instances]);
  }
  return served;
}

const server = await site();
let browser;
try {
  browser = await check('Chromium starts', () => launch(['--test-third-party-cookie-phaseout']));
  await check(`${CLIENTS} clients of a page of another site poll, each on one instance, without a cookie`, async () => {
    const page = await browser.newPage();
    const requests = [];
    page.on('request', (request) => request.url().startsWith(baseUrl.origin) && requests.push(request));
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    const about = { url: baseUrl.origin, clients: CLIENTS, rounds: ROUNDS, patience: WAIT_MS };
    const served = await page.evaluate(talk, about);
    note(`served by ${served.join(' ')}`);
    assert.ok(served.every((instances) => instances.length === 1));
    assert.ok(new Set(served.flat()).size > 1);
    assert.ok(requests.length > CLIENTS * 3, `${requests.length} requests`);
    const heads = await Promise.all(requests.map((request) => request.allHeaders()));
    assert.deepEqual(heads.filter(({ cookie }) => cookie !== undefined), []);
  }, 60_000);
} finally {
  await browser?.close();
  server.close();
  clean();
}
finish();
