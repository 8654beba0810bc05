// An https backend that wants to know who asks, and answers with the name in the certificate it was shown. DIR holds
// `backend.pem`, `backend.key` and `ca.pem`.
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { listen } from './backend.mjs';

const file = (name) => readFileSync(`${process.env.DIR}/${name}`);
const options = {
  cert: file('backend.pem'),
  key: file('backend.key'),
  ca: file('ca.pem'),
  requestCert: true,
  rejectUnauthorized: true,
  maxVersion: process.env.MAX_VERSION,
};

listen(https.createServer(options, (request, response) => {
  response.end(request.socket.getPeerCertificate().subject?.CN ?? 'nobody: a resumed session');
}));
