// Two ways for Node to speak to a server, behind one shape:
// request({ method, path, headers, body }) -> { status, headers, body, reused }.
// A body may be a string, a Buffer or an async iterable; only the first two carry a Content-Length.

import http2 from 'node:http2';
import https from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { baseUrl, ca } from './peer.mjs';

export function http1Client() {
  const agent = new https.Agent({ ca, keepAlive: true, maxSockets: 1 });

  async function open({ method = 'GET', path, headers = {}, body }) {
    const request = https.request(new URL(path, baseUrl), { method, agent, headers: { ...lengthOf(body), ...headers } });
    const response = new Promise((resolve, reject) => request.once('response', resolve).once('error', reject));
    if (headers.expect) {
      const goAhead = new Promise((resolve) => request.once('continue', resolve).flushHeaders());
      await Promise.race([goAhead, response]);
    }
    await Promise.all([response, send(body, request)]);
    const { statusCode: status, headers: received } = await response;
    return { status, headers: received, stream: await response, reused: request.reusedSocket };
  }

  return { name: 'HTTP/1.1', open, request: (options) => open(options).then(collect), close: () => agent.destroy() };
}

export async function http2Client() {
  const session = http2.connect(baseUrl, { ca });
  await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject));
  session.on('error', () => {});

  async function open({ method = 'GET', path, headers = {}, body }) {
    const head = { ':method': method, ':path': path, ...lengthOf(body), ...headers };
    const stream = session.request(head, { endStream: body === undefined });
    const response = new Promise((resolve, reject) => stream.once('response', resolve).once('error', reject));
    await Promise.all([response, body === undefined ? undefined : send(body, stream)]);
    const received = await response;
    return { status: received[':status'], headers: received, stream, reused: true };
  }

  return { name: 'HTTP/2', open, request: (options) => open(options).then(collect), close: () => session.close() };
}

async function collect({ stream, ...response }) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { ...response, body: Buffer.concat(chunks) };
}

function lengthOf(body) {
  const isWhole = typeof body === 'string' || Buffer.isBuffer(body);
  return isWhole ? { 'content-length': String(Buffer.byteLength(body)) } : {};
}

function send(body, destination) {
  if (body === undefined) return destination.end();
  const chunks = typeof body === 'string' || Buffer.isBuffer(body) ? [body] : body;
  return pipeline(Readable.from(chunks, { objectMode: false }), destination);
}
