// What all peers share: where the server is, how a check is reported, how a peer ends.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';

export const baseUrl = new URL(process.env.BASE_URL ?? 'https://localhost:8443');
export const caFile = process.env.CA_FILE;
export const ca = caFile && readFileSync(caFile);

let failures = 0;

/** Runs one check, prints its line and returns what it returned; a failure is remembered, not thrown. */
export async function check(name, body, limitMs = 30_000) {
  const overdue = new AbortController();
  try {
    const late = sleep(limitMs, undefined, { signal: overdue.signal }).then(() => {
      throw new Error(`not done after ${limitMs} ms`);
    });
    late.catch(() => {});
    const result = await Promise.race([body(), late]);
    console.log(`ok - ${name}`);
    return result;
  } catch (error) {
    failures += 1;
    console.log(`not ok - ${name}: ${reason(error)}`);
    return undefined;
  } finally {
    overdue.abort();
  }
}

/** A line that informs and does not judge. */
export function note(text) {
  console.log(`# ${text}`);
}

/** Ends the process: 1 when any check failed. */
export function finish() {
  process.exit(failures === 0 ? 0 : 1);
}

export function integerFromEnv(name, fallback) {
  const value = Number(process.env[name] ?? fallback);
  if (!Number.isInteger(value) || value < 0) throw new Error(`${name} must be a whole number`);
  return value;
}

function reason(error) {
  const text = [error?.message ?? String(error), error?.cause?.message].filter(Boolean).join(': ');
  return stripVTControlCharacters(text).replace(/\s+/g, ' ').slice(0, 500);
}
