// A plain Node server that closes idle connections after KEEP_ALIVE_MS, and tells its clients so.

import { createServer } from 'node:http';

const server = createServer((request, response) => request.resume().on('end', () => response.end('here')));
server.keepAliveTimeout = Number(process.env.KEEP_ALIVE_MS);
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ listening: server.address().port })));
