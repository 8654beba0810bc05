// GET over HTTP/1.1 and TLS, of a name that only a browser resolves.

import { Agent, get } from 'node:https';

import { baseUrl, ca } from './peer.mjs';

const agent = new Agent({ keepAlive: true, maxSockets: 4, ca });

/** The whole answer; `headers` in small letters, `body` as a buffer. */
export function fetchFrom(host, path, accept = '*/*') {
  const port = baseUrl.port;
  return new Promise((resolve, reject) => {
    const headers = { host: `${host}:${port}`, accept };
    const request = get({ host: '127.0.0.1', port, servername: host, path, headers, agent }, (response) => {
      const pieces = [];
      response.on('data', (piece) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) }),
      );
    });
    request.on('error', reject);
  });
}
