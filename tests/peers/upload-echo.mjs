// A backend that echoes what it reads as it comes, and keeps in memory what cannot be written yet.

import { createServer } from 'node:http';

const server = createServer((request, response) => {
  request.on('data', (data) => response.write(data));
  request.on('end', () => response.end());
  request.on('error', () => response.destroy());
});
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
