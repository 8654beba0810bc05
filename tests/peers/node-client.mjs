// Node as a client, over HTTP/1.1 with keep-alive and over HTTP/2: everything a REST client does.
// Environment: BASE_URL, CA_FILE; API (path of the API, default /api).

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';

import { http1Client, http2Client } from './clients.mjs';
import { baseUrl, check, finish } from './peer.mjs';

const API = process.env.API ?? '/api';
const MIB = 1024 ** 2;
const FORGED = '203.0.113.66';
const octets = { 'content-type': 'application/octet-stream' };

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const json = ({ body }) => JSON.parse(body.toString());

async function checkAll(client) {
  const named = (name, body) => check(`${client.name}: ${name}`, body);
  const api = (options) => client.request({ ...options, path: API + options.path });
  await checkRest(named, api);
  await checkBodies(named, api);
  await checkIdentity(named, api);
  await checkMapping(named, client, api);
}

async function checkRest(named, api) {
  await named('GET', async () => {
    const response = await api({ path: '/whoami' });
    assert.equal(response.status, 200);
    assert.match(response.headers['content-type'], /^application\/json/);
    assert.equal(json(response).protocol, 'https');
  });
  await named('POST of JSON creates', async () => {
    const body = JSON.stringify({ title: 'from node – ünïcödé' });
    const response = await api({ method: 'POST', path: '/todos', headers: { 'content-type': 'application/json' }, body });
    assert.equal(response.status, 201);
    assert.equal(json(response).title, 'from node – ünïcödé');
  });
  await named('HEAD has the head of GET and no body', async () => {
    const response = await api({ method: 'HEAD', path: '/download?bytes=4096' });
    assert.equal(response.status, 200);
    assert.equal(response.headers['content-length'], '4096');
    assert.equal(response.body.length, 0);
    assert.equal((await api({ path: '/health' })).status, 200);
  });
  await named('404 of the application keeps its shape', async () => {
    const response = await api({ path: '/no-such-thing' });
    assert.equal(response.status, 404);
    const { statusCode, error, message } = json(response);
    assert.deepEqual({ statusCode, error }, { statusCode: 404, error: 'Not Found' });
    assert.match(message, /Cannot GET \/no-such-thing/);
  });
  await named('path and query arrive byte for byte, the prefix does not', async () => {
    const query = '?a=%2F&b=%C3%A9&c=1+2&d=&e';
    assert.equal(json(await api({ path: `/echo${query}` })).url, `/echo${query}`);
  });
  await named('a slow answer arrives', async () => {
    assert.equal(json(await api({ path: '/slow?ms=1500' })).waited, 1500);
  });
}

async function checkBodies(named, api) {
  const content = randomBytes(5 * MIB);
  const expected = { size: content.length, sha256: sha256(content) };
  const measured = (response) => {
    assert.equal(response.status, 200, response.body.toString());
    const { size, sha256: hash } = json(response);
    return { size, sha256: hash };
  };

  await named('multipart upload of 5 MiB', async () => {
    const boundary = `peer-${randomBytes(12).toString('hex')}`;
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\nContent-Type: application/octet-stream\r\n\r\n`;
    const body = Buffer.concat([Buffer.from(head), content, Buffer.from(`\r\n--${boundary}--\r\n`)]);
    const headers = { 'content-type': `multipart/form-data; boundary=${boundary}` };
    assert.deepEqual(measured(await api({ method: 'POST', path: '/upload', headers, body })), expected);
  });
  await named('raw upload of 5 MiB', async () => {
    assert.deepEqual(measured(await api({ method: 'POST', path: '/raw', headers: octets, body: content })), expected);
  });
  await named('raw upload of 5 MiB of unknown length', async () => {
    assert.deepEqual(measured(await api({ method: 'POST', path: '/raw', headers: octets, body: pieces(content) })), expected);
  });
  await named('download of 10 MiB', async () => {
    const { status, headers, body } = await api({ path: `/download?bytes=${10 * MIB}` });
    assert.equal(status, 200);
    assert.equal(headers['content-length'], String(10 * MIB));
    assert.equal(sha256(body), sha256(Buffer.from(Uint8Array.from({ length: 10 * MIB }, (_, index) => index % 251))));
  });
}

async function checkIdentity(named, api) {
  await named('forged forwarding headers change nothing', async () => {
    const honest = json(await api({ path: '/whoami' }));
    const forged = json(
      await api({
        path: '/whoami',
        headers: {
          'x-forwarded-for': FORGED,
          'x-forwarded-proto': 'http',
          'x-forwarded-host': 'evil.example',
          'x-forwarded-port': '1',
          'x-real-ip': FORGED,
          forwarded: `for=${FORGED};proto=http;host=evil.example`,
        },
      }),
    );
    for (const key of ['ip', 'protocol', 'secure', 'host', 'hostname']) assert.equal(forged[key], honest[key], key);
    assert.equal(honest.protocol, 'https');
    assert.equal(honest.host, baseUrl.host);
    assert.doesNotMatch(JSON.stringify(forged), /203\.0\.113\.66|evil\.example/);
  });
  await named('the request id in the answer is the one the application saw', async () => {
    const response = await api({ path: '/whoami' });
    assert.ok(response.headers['x-request-id'], 'no x-request-id in the answer');
    assert.equal(json(response).requestId, response.headers['x-request-id']);
  });
}

async function checkMapping(named, client, api) {
  for (const path of ['/redirect', '/redirect-relative']) {
    await named(`Location of ${path} can be followed`, async () => {
      const response = await api({ path });
      assert.equal(response.status, 302);
      const target = new URL(response.headers.location, new URL(API + path, baseUrl));
      assert.equal(target.href, new URL(`${API}/whoami`, baseUrl).href);
      assert.equal((await client.request({ path: target.pathname })).status, 200);
    });
  }
  await named('cookies have a Path under the prefix and come back', async () => {
    const response = await api({ method: 'POST', path: '/login' });
    assert.equal(response.status, 200, response.body.toString());
    const cookies = response.headers['set-cookie'].map(parseCookie);
    const [session, refresh] = ['session', 'refresh'].map((name) => cookies.find((cookie) => cookie.name === name));
    assert.equal(refresh.path, `${API}/auth`);
    assert.ok(isUnder(session.path, API), `Path of the session cookie is ${session.path}`);
    assert.ok(session.secure && refresh.secure, 'the application did not see https: Secure is missing');
    for (const [path, names] of [['/cookies', ['session']], ['/auth/cookies', ['refresh', 'session']]]) {
      const sent = cookies.filter((cookie) => isUnder(cookie.path, API + path));
      const headers = { cookie: sent.map(({ name, value }) => `${name}=${value}`).join('; ') };
      const seen = json(await api({ path, headers })).cookies;
      assert.deepEqual(Object.keys(seen).filter((name) => name === 'session' || name === 'refresh').sort(), names);
      assert.equal(seen.session, session.value);
    }
  });
}

function parseCookie(text) {
  const [pair, ...attributes] = text.split(/;\s*/);
  const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
  const path = attributes.find((attribute) => /^path=/i.test(attribute))?.slice('path='.length);
  return { name, value, path, secure: attributes.some((attribute) => /^secure$/i.test(attribute)) };
}

/** Path matching of RFC 6265 section 5.1.4. */
function isUnder(cookiePath, path) {
  return path === cookiePath || (path.startsWith(cookiePath) && (cookiePath.endsWith('/') || path[cookiePath.length] === '/'));
}

async function* pieces(content) {
  for (let start = 0; start < content.length; start += 50_000) yield content.subarray(start, start + 50_000);
}

const first = http1Client();
await checkAll(first);
await check('HTTP/1.1: one connection serves several requests', async () => {
  for (let round = 0; round < 3; round += 1) {
    const { reused } = await first.request({ path: `${API}/whoami` });
    if (round > 0) assert.ok(reused, 'the connection was not kept');
  }
});
await check('HTTP/1.1: Expect: 100-continue is answered', async () => {
  const body = randomBytes(100_000);
  const headers = { ...octets, expect: '100-continue' };
  const response = await first.request({ method: 'POST', path: `${API}/raw`, headers, body });
  assert.equal(json(response).sha256, sha256(body));
});
first.close();

const second = await check('HTTP/2: connects', http2Client);
if (second) {
  await checkAll(second);
  await check('HTTP/2: many requests at once', async () => {
    const requests = Array.from({ length: 50 }, () => second.request({ path: `${API}/whoami` }));
    for (const { status } of await Promise.all(requests)) assert.equal(status, 200);
  });
  second.close();
}
finish();
