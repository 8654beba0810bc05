// Server-sent events must arrive one by one, when they are made, over HTTP/1.1 and HTTP/2.
// Environment: BASE_URL, CA_FILE; API (default /api); EVERY (ms between events, 400), COUNT (6).

import assert from 'node:assert/strict';

import { http1Client, http2Client } from './clients.mjs';
import { check, finish, integerFromEnv, note } from './peer.mjs';

const API = process.env.API ?? '/api';
const EVERY = integerFromEnv('EVERY', 400);
const COUNT = integerFromEnv('COUNT', 6);

async function checkEvents(client) {
  const started = Date.now();
  const response = await check(`${client.name}: the head comes before the events`, async () => {
    const opened = await client.open({
      path: `${API}/events?every=${EVERY}&count=${COUNT}`,
      headers: { accept: 'text/event-stream', 'accept-encoding': 'gzip, deflate, br, zstd' },
    });
    assert.equal(opened.status, 200);
    assert.match(opened.headers['content-type'], /^text\/event-stream/);
    assert.equal(opened.headers['content-encoding'], undefined);
    assert.ok(Date.now() - started < EVERY * (COUNT - 1), 'the head came only at the end');
    return opened;
  });
  if (!response) return;

  const events = await check(`${client.name}: all ${COUNT} events arrive and the stream ends`, async () => {
    const arrived = await readEvents(response.stream);
    assert.deepEqual(arrived.map(({ tick }) => tick), Array.from({ length: COUNT }, (_, index) => index));
    return arrived;
  });
  if (!events) return;

  await check(`${client.name}: events arrive one by one`, async () => {
    const gaps = events.slice(1).map(({ at }, index) => at - events[index].at);
    const lags = events.map(({ at, made }) => at - made);
    note(`${client.name}: gaps ${gaps.join(' ')} ms, lags ${lags.join(' ')} ms`);
    assert.ok(Math.max(...lags) < 2 * EVERY, `an event was ${Math.max(...lags)} ms old when it came`);
    // One gap may shrink when the machine is busy; a lump shrinks all of them.
    assert.ok(gaps.filter((gap) => gap < EVERY / 2).length <= 1, `the gaps are ${gaps.join(' ')} ms`);
  });
}

async function readEvents(stream) {
  const events = [];
  let text = '';
  for await (const chunk of stream) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (!data) continue;
      const { tick, at: made } = JSON.parse(data);
      events.push({ tick, made, at: Date.now() });
    }
  }
  return events;
}

const first = http1Client();
await checkEvents(first);
first.close();
const second = await check('HTTP/2: connects', http2Client);
if (second) {
  await checkEvents(second);
  second.close();
}
finish();
