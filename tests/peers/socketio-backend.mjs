// A Socket.IO server that pages of every site may use; the package is the example's. Environment: INSTANCE.
import http from 'node:http';
import { createRequire } from 'node:module';
import { listen } from './backend.mjs';

const require = createRequire(new URL('../../examples/nestflux/server/package.json', import.meta.url));
const { Server } = require('socket.io');

const server = http.createServer();
new Server(server, { cors: { origin: true, credentials: true } }).on('connection', (socket) => {
  socket.on('ping', (payload) => socket.emit('pong', { payload, instance: process.env.INSTANCE }));
});
listen(server);
