/** What the environment may change. README.md has the list. */

export type Adapter = 'express' | 'fastify';

export interface Settings {
  adapter: Adapter;
  host: string;
  port: number;
  /** Names this process in answers, so that one can see which backend served. */
  instance: string;
  trustProxy: string[];
  keepAliveMs: number;
  databaseUrl?: string;
  databaseCa?: string;
}

/** Node's own default. Fastify would raise it to 72 s, so both adapters get it explicitly. */
const NODE_KEEP_ALIVE_MS = 5_000;

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  return {
    adapter: adapter(env.ADAPTER),
    host: env.HOST ?? '127.0.0.1',
    port: integer('PORT', env.PORT, 3001),
    instance: env.INSTANCE ?? String(process.pid),
    // Only a proxy on this machine may say who the client is. Trusting an address range instead of
    // a number of hops keeps the headers worthless to anybody who reaches the port directly.
    trustProxy: (env.TRUST_PROXY ?? 'loopback').split(',').map((range) => range.trim()),
    keepAliveMs: integer('KEEP_ALIVE_MS', env.KEEP_ALIVE_MS, NODE_KEEP_ALIVE_MS),
    databaseUrl: env.DATABASE_URL,
    databaseCa: env.DATABASE_CA,
  };
}

function adapter(name: string | undefined): Adapter {
  if (name === undefined || name === 'express' || name === 'fastify') return name ?? 'express';
  throw new Error(`ADAPTER is "${name}": use express or fastify`);
}

function integer(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new Error(`${name} is "${text}": use a whole number`);
}

export const settings = readSettings(process.env);
