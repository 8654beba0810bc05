/** What the two HTTP adapters have in common, so that one controller serves both. */

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

export interface Request {
  ip: string;
  protocol: string;
  host: string;
  hostname: string;
  headers: IncomingHttpHeaders;
  /** Fastify wraps Node's request; Express extends it. */
  raw?: IncomingMessage;
}

export interface Response {
  header(name: string, value: string | string[]): unknown;
}

export function nodeRequest(request: Request): IncomingMessage {
  return request.raw ?? (request as unknown as IncomingMessage);
}

export function bounded(text: string | undefined, fallback: number, max: number): number {
  const value = Number(text ?? fallback);
  return Number.isFinite(value) ? Math.min(Math.max(0, Math.trunc(value)), max) : fallback;
}
