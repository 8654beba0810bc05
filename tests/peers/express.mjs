// Express with strong entity tags: a list as JSON, and a file with ranges.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { listen } from './backend.mjs';

const require = createRequire(new URL('../../examples/nestflux/server/package.json', import.meta.url));
const express = require('express');

const list = Array.from({ length: 60 }, (_, id) => ({ id, title: `to-do number ${id}`, done: id % 3 === 0 }));
const app = express();
app.set('etag', 'strong');
app.get('/list', (_request, response) => response.json(list));
app.use('/files', express.static(import.meta.dirname));
listen(createServer(app));
