// Many Socket.IO clients by polling alone, by WebSocket alone, and by polling with an upgrade.
// Environment: BASE_URL, CA_FILE; CLIENTS (default 30), ROUNDS (3), MIN_INSTANCES (1: how many
// backends must have taken part), SOCKET_PATH (/socket.io/).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { io } from 'socket.io-client';

import { baseUrl, ca, check, finish, integerFromEnv, note } from './peer.mjs';

const CLIENTS = integerFromEnv('CLIENTS', 30);
const ROUNDS = integerFromEnv('ROUNDS', 3);
const MIN_INSTANCES = integerFromEnv('MIN_INSTANCES', 1);
const WAIT_MS = 15_000;

const MODES = [
  { name: 'polling alone', transports: ['polling'], ends: 'polling' },
  { name: 'websocket alone', transports: ['websocket'], ends: 'websocket' },
  { name: 'polling, then upgraded', transports: ['polling', 'websocket'], ends: 'websocket' },
];

/** One client from connection to the last pong; resolves with the instance that served it. */
async function runClient({ transports, ends }, number) {
  const socket = io(baseUrl.origin, {
    path: process.env.SOCKET_PATH ?? '/socket.io/',
    transports,
    ca,
    // Keeps cookies as a browser does: the proxy's sticky cookie needs it.
    withCredentials: true,
    forceNew: true,
    reconnection: false,
    timeout: WAIT_MS,
  });
  try {
    await connected(socket);
    const { engine } = socket.io;
    const instances = new Set();
    for (let round = 0; round < ROUNDS; round += 1) instances.add(await exchange(socket, `${number}/${round}`));
    if (engine.transport.name !== ends) await within(once(engine, 'upgrade'), 'the upgrade');
    instances.add(await exchange(socket, `${number}/last`, ends));
    assert.equal(instances.size, 1, `one client was served by ${[...instances].join(' and ')}`);
    return [...instances][0];
  } finally {
    socket.disconnect();
  }
}

function connected(socket) {
  const outcome = new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', ({ message, description }) => {
      // The description is the status of an answer or the error of the connection.
      const detail = description?.error?.message ?? description?.message ?? description ?? 'no description';
      reject(new Error(`${message} (${detail})`));
    });
  });
  return within(outcome, 'the connection');
}

async function exchange(socket, payload, transport) {
  const lost = new Promise((_, reject) => socket.once('disconnect', (why) => reject(new Error(`disconnected: ${why}`))));
  lost.catch(() => {});
  const pong = once(socket, 'pong');
  socket.emit('ping', payload);
  const [answer] = await within(Promise.race([pong, lost]), 'a pong');
  assert.equal(answer.payload, payload);
  if (transport) assert.equal(answer.transport, transport);
  return answer.instance;
}

async function within(promise, what) {
  const done = new AbortController();
  const late = sleep(WAIT_MS, undefined, { signal: done.signal }).then(() => {
    throw new Error(`${what} did not come in ${WAIT_MS} ms`);
  });
  late.catch(() => {});
  return Promise.race([promise, late]).finally(() => done.abort());
}

for (const mode of MODES) {
  await check(
    `Socket.IO, ${mode.name}: ${CLIENTS} of ${CLIENTS} clients, ${ROUNDS} rounds each`,
    async () => {
      const outcomes = await Promise.allSettled(Array.from({ length: CLIENTS }, (_, number) => runClient(mode, number)));
      const failed = outcomes.filter(({ status }) => status === 'rejected').map(({ reason }) => reason);
      const served = new Map();
      for (const { value } of outcomes) if (value) served.set(value, (served.get(value) ?? 0) + 1);
      const shares = [...served].map(([instance, clients]) => `${instance}=${clients}`);
      note(`${mode.name}: served by ${shares.join(' ') || 'nobody'}`);
      if (failed.length > 0) throw new Error(`${failed.length} failed, the first so`, { cause: failed[0] });
      assert.ok(shares.length >= MIN_INSTANCES, `only ${shares.length} instances took part`);
    },
    120_000,
  );
}
finish();
