// A backend whose /health says in its body how it is, and is guarded as NestFlux's: the raw Authorization header is
// compared with a key, and another Host meets another application. Environment: HEALTH_KEY and HEALTH_HOST, both
// optional, and CHUNKED, which leaves the length out. `POST /status/WORD` sets the status.
import http from 'node:http';
import { listen } from './backend.mjs';

const { HEALTH_KEY, HEALTH_HOST, CHUNKED } = process.env;
let status = 'error';

function health(request, response) {
  if (HEALTH_HOST && request.headers.host !== HEALTH_HOST) {
    return response.writeHead(404).end('another application');
  }
  if (HEALTH_KEY && request.headers.authorization !== HEALTH_KEY) {
    return response.writeHead(401).end('who are you?');
  }
  const body = JSON.stringify({ status });
  if (CHUNKED) {
    response.write(body.slice(0, 12));
    return response.end(body.slice(12));
  }
  return response.writeHead(200, { 'content-length': body.length }).end(body);
}

listen(http.createServer((request, response) => {
  if (request.method === 'POST') {
    status = request.url.split('/').pop();
    return response.end('noted');
  }
  if (request.url === '/health') {
    return health(request, response);
  }
  return response.end('served');
}));
