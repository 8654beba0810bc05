// Many Socket.IO clients that stay with one instance each, of which one is killed: only its clients notice, and they
// go on elsewhere.
// Environment: BASE_URL, CA_FILE; TRANSPORTS (such as polling,websocket), VICTIM (name of an instance) and VICTIM_PID;
// CLIENTS (default 200), SOCKET_PATH (/socket.io/).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';

import { io } from 'socket.io-client';

import { baseUrl, ca, check, finish, integerFromEnv, note } from './peer.mjs';

const CLIENTS = integerFromEnv('CLIENTS', 200);
const TRANSPORTS = process.env.TRANSPORTS.split(',');
const { VICTIM, VICTIM_PID } = process.env;
const WAIT_MS = 45_000;
const POLL_MS = 20;

class Client {
  sessions = [];
  losses = [];
  errors = [];

  constructor(number) {
    this.number = number;
    this.socket = io(baseUrl.origin, {
      path: process.env.SOCKET_PATH ?? '/socket.io/',
      transports: TRANSPORTS,
      ca,
      // As a browser does, each keeps its connections,
      agent: new https.Agent({ ca, keepAlive: true }),
      // and its cookies, which the proxy's affinity needs.
      withCredentials: true,
      forceNew: true,
      timeout: WAIT_MS,
      reconnectionDelay: 100,
      reconnectionDelayMax: 500,
    });
    this.socket.on('connect', () => this.sessions.push(this.socket.io.engine.id));
    // A machine that is too busy for an upgrade in time leaves a client where it is.
    this.socket.io.on('open', () => {
      this.upgrade = undefined;
      this.socket.io.engine.once('upgradeError', (error) => (this.upgrade = error));
    });
    this.socket.on('disconnect', (why) => this.losses.push(why));
    this.socket.on('connect_error', ({ message, description }) => {
      this.errors.push(`${message} (${description?.message ?? description ?? 'no description'})`);
    });
  }

  /** Connected, and by the last transport unless that failed. */
  get isSettled() {
    return this.socket.connected && (this.upgrade || this.socket.io.engine.transport.name === TRANSPORTS.at(-1));
  }

  toString() {
    const { sessions, losses, errors, upgrade, socket } = this;
    const transport = socket.io.engine?.transport.name;
    return JSON.stringify({ connected: socket.connected, transport, sessions, losses, errors, upgrade: upgrade?.message });
  }

  /** Sends and gets back; resolves with the instance that answered. */
  async exchange(payload) {
    const pong = once(this.socket, 'pong');
    const lost = once(this.socket, 'disconnect').then(([why]) => {
      throw new Error(`disconnected: ${why}`);
    });
    lost.catch(() => {});
    this.socket.emit('ping', payload);
    const [answer] = await Promise.race([pong, lost]);
    assert.equal(answer.payload, payload);
    this.instance = answer.instance;
    return answer.instance;
  }
}

/** Waits until it `isSo` for all of `clients`. */
async function until(what, clients, isSo) {
  for (const end = Date.now() + WAIT_MS; ; await sleep(POLL_MS)) {
    const missing = clients.filter((it) => !isSo(it));
    if (missing.length === 0) return;
    if (Date.now() > end) throw new Error(`${what} did not come for ${missing.length}: ${missing[0]}`);
  }
}

function shares(clients) {
  const counts = new Map();
  for (const { instance } of clients) counts.set(instance, (counts.get(instance) ?? 0) + 1);
  return [...counts].map(([instance, count]) => `${instance}=${count}`).sort().join(' ');
}

const clients = Array.from({ length: CLIENTS }, (_, number) => new Client(number));
const each = (act) => Promise.all(clients.map(act));

await check(
  `${TRANSPORTS}: ${CLIENTS} clients connect, each once, and stay where they are`,
  async () => {
    await until('a connection', clients, (it) => it.isSettled);
    await each((it) => it.exchange(`${it.number}/first`));
    note(`before: ${shares(clients)}`);
    for (let round = 0; round < 3; round += 1) {
      await each(async (it) => {
        const before = it.instance;
        assert.equal(await it.exchange(`${it.number}/${round}`), before, 'another instance answered');
      });
    }
    for (const { sessions, losses, errors } of clients) assert.deepEqual([sessions.length, losses, errors], [1, [], []]);
    const failed = clients.map(({ upgrade }) => upgrade).filter(Boolean);
    note(`upgrades that failed: ${failed.length}`);
    assert.ok(failed.length < CLIENTS / 10, failed[0]);
    assert.equal(new Set(clients.map(({ sessions }) => sessions[0])).size, CLIENTS, 'two have one session');
  },
  WAIT_MS * 2,
);

await check(
  `${TRANSPORTS}: the clients of a killed instance go on elsewhere, the others notice nothing`,
  async () => {
    const lost = clients.filter(({ instance }) => instance === VICTIM);
    const kept = clients.filter(({ instance }) => instance !== VICTIM);
    assert.ok(lost.length > 0 && kept.length > 0, 'the victim has no clients, or all');
    process.kill(Number(VICTIM_PID), 'SIGKILL');
    await until('a return', lost, (it) => it.losses.length > 0 && it.isSettled);
    await each((it) => it.exchange(`${it.number}/after`));
    note(`after: ${shares(clients)}; connections that failed on the way: ${lost.flatMap(({ errors }) => errors).length}`);
    assert.ok(clients.every(({ instance }) => instance !== VICTIM), 'served by the dead');
    for (const { sessions, losses, errors } of kept) assert.deepEqual([sessions.length, losses, errors], [1, [], []]);
  },
  WAIT_MS * 2,
);
finish();
