import 'reflect-metadata';

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import multipart from '@fastify/multipart';
import { ConsoleLogger, type INestApplication, type NestApplicationOptions } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import helmet from 'helmet';

import { AppModule } from './app.module.js';
import { settings } from './settings.js';
import { MAX_UPLOAD_BYTES } from './upload.js';

const options: NestApplicationOptions = {
  // Standard output carries one line only: where the server listens.
  logger: new ConsoleLogger({ logLevels: ['error', 'fatal'] }),
};

async function createExpress(): Promise<INestApplication> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule.on('express'), options);
  app.set('trust proxy', settings.trustProxy);
  return app;
}

async function createFastify(): Promise<INestApplication> {
  const adapter = new FastifyAdapter({ trustProxy: settings.trustProxy });
  const app = await NestFactory.create<NestFastifyApplication>(AppModule.on('fastify'), adapter, options);
  await app.register(multipart, { limits: { fileSize: MAX_UPLOAD_BYTES, files: 1 } });
  // Leaves the body unread, as Express does for a type without a parser: POST /raw streams it.
  adapter.getInstance().addContentTypeParser('application/octet-stream', (_request, _payload, done) => done(null));
  return app;
}

const app = await (settings.adapter === 'fastify' ? createFastify() : createExpress());
app.use(helmet());
app.enableShutdownHooks();

const server: Server = app.getHttpServer();
server.keepAliveTimeout = settings.keepAliveMs;
// Node goes on serving a kept connection after it stopped listening, so a busy proxy would hold this
// process for ever. Saying that the connection ends sends the proxy elsewhere, and no request is cut.
server.prependListener('request', (_request, response) => {
  if (!server.listening) response.setHeader('Connection', 'close');
});
await app.listen(settings.port, settings.host);

const { port } = server.address() as AddressInfo;
process.stdout.write(`${JSON.stringify({ listening: port })}\n`);
