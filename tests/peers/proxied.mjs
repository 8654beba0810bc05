// A backend behind the PROXY protocol. It reads the header off each connection, hands the rest to Node's own server, and
// answers with what the header said and how many connections there were.
import http from 'node:http';
import net from 'node:net';
import { listen } from './backend.mjs';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const headers = new WeakMap();
const seen = [];
let served = 0;

const server = http.createServer((request, response) => {
  served += 1;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ header: headers.get(request.socket), served, seen }));
});

/** Length and meaning of the header, once it is there. */
function parse(bytes) {
  if (bytes.subarray(0, 12).equals(SIGNATURE)) {
    if (bytes.length < 16) return undefined;
    const length = 16 + bytes.readUInt16BE(14);
    if (bytes.length < length) return undefined;
    return { length, header: binary(bytes.subarray(0, length)) };
  }
  const end = bytes.indexOf('\r\n');
  if (end < 0) return undefined;
  return { length: end + 2, header: bytes.toString('latin1', 0, end) };
}

function binary(bytes) {
  if (bytes[12] === 0x20) return 'LOCAL';
  if (bytes[12] !== 0x21) throw new Error(`command ${bytes[12]}`);
  const wide = bytes[13] === 0x21;
  const size = wide ? 16 : 4;
  const address = (at) => wide
    ? new net.SocketAddress({ family: 'ipv6', address: words(bytes, at) }).address
    : [...bytes.subarray(at, at + 4)].join('.');
  const ports = 16 + 2 * size;
  const from = `${address(16)} ${bytes.readUInt16BE(ports)}`;
  const to = `${address(16 + size)} ${bytes.readUInt16BE(ports + 2)}`;
  return `PROXY ${wide ? 'TCP6' : 'TCP4'} ${from} ${to}`;
}

function words(bytes, at) {
  return Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(at + 2 * index).toString(16)).join(':');
}

listen(net.createServer((socket) => {
  let read = Buffer.alloc(0);
  const take = (data) => {
    read = Buffer.concat([read, data]);
    const found = parse(read);
    if (!found) return;
    socket.off('data', take);
    socket.pause();
    seen.push(found.header);
    headers.set(socket, found.header);
    const rest = read.subarray(found.length);
    if (rest.length > 0) socket.unshift(rest);
    server.emit('connection', socket);
    socket.resume();
  };
  socket.on('data', take);
  socket.on('error', () => {});
}));
