import { Controller, Get } from '@nestjs/common';
import { HealthCheck, HealthCheckService, HealthIndicatorService } from '@nestjs/terminus';

import { TodoStore } from './todos/todo-store.js';

@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly todos: TodoStore,
  ) {}

  @Get()
  @HealthCheck()
  check() {
    return this.health.check([() => this.checkTodos()]);
  }

  private async checkTodos() {
    const indicator = this.indicators.check('todos');
    try {
      await this.todos.ping();
      return indicator.up();
    } catch {
      return indicator.down();
    }
  }
}
