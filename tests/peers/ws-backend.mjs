// A backend that echoes WebSocket messages on a port of its choice, and prints how each socket was closed.

import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
server.once('listening', () => console.log(`listening ${server.address().port}`));
server.on('connection', (socket) => {
  socket.on('message', (data, binary) => socket.send(data, { binary }));
  socket.on('error', (error) => console.log(`failed ${error.message}`));
  socket.on('close', (code) => console.log(`closed ${code}`));
});
