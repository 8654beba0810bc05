// Many Socket.IO clients that poll and keep no cookies, as a page of another site does; then one backend is killed.
// Environment: BASE_URL, CA_FILE; VICTIM and VICTIM_PID: name and process of the backend to kill; CLIENTS (default 30),
// ROUNDS (5), SOCKET_PATH (/socket.io/).

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import { io } from 'socket.io-client';

import { baseUrl, ca, check, finish, integerFromEnv, note } from './peer.mjs';

const CLIENTS = integerFromEnv('CLIENTS', 30);
const ROUNDS = integerFromEnv('ROUNDS', 5);
const { VICTIM, VICTIM_PID } = process.env;
const WAIT_MS = 20_000;

/** A client and what happened to it. */
function start() {
  const socket = io(baseUrl.origin, {
    path: process.env.SOCKET_PATH ?? '/socket.io/',
    transports: ['polling'],
    ca,
    // Without it the client of Node forgets cookies, as a browser does that blocks those of other sites.
    withCredentials: false,
    forceNew: true,
    reconnectionDelay: 100,
    reconnectionDelayMax: 500,
  });
  const client = { socket, connects: 0, lost: [], failed: [] };
  socket.on('connect', () => (client.connects += 1));
  socket.on('disconnect', (why) => client.lost.push(why));
  socket.on('connect_error', ({ message, description }) => client.failed.push(`${message} (${description})`));
  return client;
}

async function until(what, holds) {
  const end = Date.now() + WAIT_MS;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await sleep(10);
  }
}

/** The instance that answers a ping of this client. */
async function instance({ socket }, payload) {
  let found;
  const seen = (answer) => {
    if (answer.payload === payload) found = answer.instance;
  };
  socket.on('pong', seen);
  socket.emit('ping', payload);
  await until('a pong', () => found).finally(() => socket.off('pong', seen));
  return found;
}

async function instances(clients, name) {
  const served = await Promise.all(
    clients.map(async (client, number) => {
      const seen = new Set();
      for (let round = 0; round < ROUNDS; round += 1) seen.add(await instance(client, `${name}/${number}/${round}`));
      assert.equal(seen.size, 1, `one client was served by ${[...seen].join(' and ')}`);
      return [...seen][0];
    }),
  );
  note(`${name}: served by ${[...new Set(served)].sort().join(' ')}`);
  return served;
}

const clients = Array.from({ length: CLIENTS }, start);
let served = [];

await check(`${CLIENTS} clients without cookies poll, each on one of three instances`, async () => {
  await until('all connections', () => clients.every(({ socket }) => socket.connected));
  served = await instances(clients, 'before');
  assert.equal(new Set(served).size, 3);
  assert.deepEqual(clients.flatMap(({ failed, lost }) => [...failed, ...lost]), []);
  assert.ok(clients.every(({ connects }) => connects === 1));
}, 60_000);

await check('clients of a killed instance connect anew, the others notice nothing', async () => {
  const struck = clients.filter((_, number) => served[number] === VICTIM);
  const spared = clients.filter((client) => !struck.includes(client));
  assert.ok(struck.length > 0);
  process.kill(Number(VICTIM_PID), 'SIGKILL');
  await until('new sessions', () => struck.every(({ connects, socket }) => connects > 1 && socket.connected));
  const after = await instances(clients, 'after');
  assert.ok(!after.includes(VICTIM));
  assert.deepEqual(spared.flatMap(({ failed, lost }) => [...failed, ...lost]), []);
}, 60_000);

for (const { socket } of clients) socket.disconnect();
finish();
