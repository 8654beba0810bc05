import { Module } from '@nestjs/common';

import { settings } from '../settings.js';
import { MemoryTodoStore } from './memory-todo-store.js';
import { PostgresTodoStore } from './postgres-todo-store.js';
import { TodoStore } from './todo-store.js';
import { TodosController } from './todos.controller.js';

@Module({
  controllers: [TodosController],
  providers: [
    {
      provide: TodoStore,
      // Memory only when no database is asked for: a database that fails is an error, not a reason to forget.
      useFactory: () =>
        settings.databaseUrl === undefined
          ? new MemoryTodoStore()
          : new PostgresTodoStore(settings.databaseUrl, settings.databaseCa),
    },
  ],
  exports: [TodoStore],
})
export class TodosModule {}
