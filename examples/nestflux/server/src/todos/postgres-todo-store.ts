import { readFileSync } from 'node:fs';

import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import pg from 'pg';

import { type Todo, type TodoChange, TodoStore } from './todo-store.js';

const CREATE = `
  CREATE TABLE IF NOT EXISTS todos (
    id serial PRIMARY KEY,
    title text NOT NULL,
    done boolean NOT NULL DEFAULT false
  )`;
/** Serialises the first start of several instances: IF NOT EXISTS alone races. */
const SCHEMA_LOCK = 7_310_001;

/** One list for all instances, over TLS only: a server without it, or with another name, is refused. */
export class PostgresTodoStore extends TodoStore implements OnModuleInit, OnApplicationShutdown {
  private readonly pool: pg.Pool;

  constructor(url: string, caFile: string | undefined) {
    super();
    if (url === '') throw new Error('DATABASE_URL is empty: unset it to keep todos in memory');
    // The driver lets these override the verified TLS below.
    if (/[?&]ssl/.test(url)) throw new Error('leave ssl parameters out of DATABASE_URL: TLS is always on and verified');
    const ssl = { rejectUnauthorized: true, ca: caFile && readFileSync(caFile, 'utf8') };
    this.pool = new pg.Pool({ connectionString: url, ssl, max: 5, connectionTimeoutMillis: 5_000 });
    // An idle connection that the server closes must not end the process.
    this.pool.on('error', () => {});
  }

  async onModuleInit() {
    const client = await this.pool.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT pg_advisory_xact_lock($1)', [SCHEMA_LOCK]);
      await client.query(CREATE);
      await client.query('COMMIT');
    } finally {
      client.release();
    }
  }

  async onApplicationShutdown() {
    await this.pool.end();
  }

  async list() {
    const { rows } = await this.pool.query<Todo>('SELECT id, title, done FROM todos ORDER BY id LIMIT 1000');
    return rows;
  }

  async find(id: number) {
    const { rows } = await this.pool.query<Todo>('SELECT id, title, done FROM todos WHERE id = $1', [id]);
    return rows[0];
  }

  async add(title: string) {
    const { rows } = await this.pool.query<Todo>('INSERT INTO todos (title) VALUES ($1) RETURNING id, title, done', [title]);
    return rows[0];
  }

  async update(id: number, { title, done }: TodoChange) {
    const { rows } = await this.pool.query<Todo>(
      'UPDATE todos SET title = coalesce($2, title), done = coalesce($3, done) WHERE id = $1 RETURNING id, title, done',
      [id, title, done],
    );
    return rows[0] as Todo | undefined;
  }

  async remove(id: number) {
    const { rowCount } = await this.pool.query('DELETE FROM todos WHERE id = $1', [id]);
    return rowCount === 1;
  }

  async ping() {
    await this.pool.query('SELECT 1');
  }
}
