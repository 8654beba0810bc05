import { type DynamicModule, Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';

import { CounterGateway } from './counter.gateway.js';
import { HealthController } from './health.controller.js';
import { RedirectController } from './redirect.controller.js';
import { SessionController } from './session.controller.js';
import type { Adapter } from './settings.js';
import { StreamController } from './stream.controller.js';
import { TodosModule } from './todos/todos.module.js';
import { ExpressUploadController } from './upload-express.controller.js';
import { FastifyUploadController } from './upload-fastify.controller.js';
import { WhoamiController } from './whoami.controller.js';

@Module({})
export class AppModule {
  /** The parts that read multipart bodies differ by adapter; all else is shared. */
  static on(adapter: Adapter): DynamicModule {
    return {
      module: AppModule,
      imports: [TerminusModule, TodosModule],
      controllers: [
        HealthController,
        WhoamiController,
        StreamController,
        RedirectController,
        SessionController,
        adapter === 'fastify' ? FastifyUploadController : ExpressUploadController,
      ],
      providers: [CounterGateway],
    };
  }
}
