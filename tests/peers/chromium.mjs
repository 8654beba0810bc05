// Chromium with a CA trusted the way a user would: by its certificate store, no error is ignored.
// Environment: CA_FILE; CHROMIUM (default /usr/bin/chromium).

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

import { caFile } from './peer.mjs';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const home = mkdtempSync(join(tmpdir(), 'portcullis-browser-'));

export function launch(flags = []) {
  if (caFile) trust(caFile);
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [...FLAGS, ...flags],
    env: { ...process.env, HOME: home },
  });
}

/** Removes what the browser left. */
export function clean() {
  rmSync(home, { recursive: true, force: true });
}

function trust(file) {
  const store = join(home, '.pki', 'nssdb');
  mkdirSync(store, { recursive: true });
  execFileSync('certutil', ['-d', `sql:${store}`, '-N', '--empty-password']);
  execFileSync('certutil', ['-d', `sql:${store}`, '-A', '-t', 'C,,', '-n', 'ca', '-i', file]);
}
