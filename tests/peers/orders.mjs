// Adds routes to the example application that only tests want: `node --import ./orders.mjs .../dist/main.js`.
// POST /orders {"id"} writes the id into JOURNAL before it answers, so that what was done outlives a kill.
// GET /never does not answer.
// Environment: JOURNAL, a file that all instances append to.

import { appendFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const server = new URL('../../examples/nestflux/server/', import.meta.url);
const resolve = createRequire(new URL('package.json', server)).resolve;
const { Body, Controller, Get, Post } = await import(pathToFileURL(resolve('@nestjs/common')));
const { AppModule } = await import(new URL('dist/app.module.js', server));

const MAX_WORK_MS = 60;

class OrdersController {
  /** Works for a moment between the deed and the answer: a kill meets many orders there. */
  async create({ id }) {
    appendFileSync(process.env.JOURNAL, `${id}\n`);
    await sleep(Math.random() * MAX_WORK_MS);
    return { id };
  }

  never() {
    return new Promise(() => {});
  }
}

const { prototype } = OrdersController;
const decorate = (method, decorator) =>
  decorator(prototype, method, Object.getOwnPropertyDescriptor(prototype, method));
Body()(prototype, 'create', 0);
decorate('create', Post('orders'));
decorate('never', Get('never'));
Controller()(OrdersController);

const { on } = AppModule;
AppModule.on = (adapter) => {
  const application = on.call(AppModule, adapter);
  return { ...application, controllers: [...application.controllers, OrdersController] };
};
