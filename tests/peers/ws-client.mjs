// A client that opens a WebSocket, has one message echoed, and prints how the socket was closed.
// Environment: BASE_URL, CA_FILE, SERVER_NAME.

import WebSocket from 'ws';

import { baseUrl, ca } from './peer.mjs';

const servername = process.env.SERVER_NAME;
const url = new URL('/ws', baseUrl.href.replace(/^http/, 'ws'));
const socket = new WebSocket(url, { ca, servername, headers: { host: servername } });
socket.on('open', () => socket.send('hello'));
socket.on('message', (data) => console.log(`echoed ${data}`));
socket.on('error', (error) => console.log(`failed ${error.message}`));
socket.on('close', (code) => console.log(`closed ${code}`));
