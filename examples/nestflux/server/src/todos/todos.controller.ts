import { BadRequestException, Body, Controller, Delete, Get, HttpCode, NotFoundException, Param, ParseIntPipe, Patch, Post } from '@nestjs/common';

import { type TodoChange, TodoStore } from './todo-store.js';

const MAX_TITLE = 200;

@Controller('todos')
export class TodosController {
  constructor(private readonly todos: TodoStore) {}

  @Get()
  list() {
    return this.todos.list();
  }

  @Get(':id')
  async find(@Param('id', ParseIntPipe) id: number) {
    return found(id, await this.todos.find(id));
  }

  @Post()
  add(@Body() body: unknown) {
    const { title } = change(body);
    if (title === undefined) throw new BadRequestException('title is missing');
    return this.todos.add(title);
  }

  @Patch(':id')
  async update(@Param('id', ParseIntPipe) id: number, @Body() body: unknown) {
    return found(id, await this.todos.update(id, change(body)));
  }

  @Delete(':id')
  @HttpCode(204)
  async remove(@Param('id', ParseIntPipe) id: number) {
    found(id, (await this.todos.remove(id)) || undefined);
  }
}

function found<T>(id: number, value: T | undefined): T {
  if (value === undefined) throw new NotFoundException(`there is no todo ${id}`);
  return value;
}

function change(body: unknown): TodoChange {
  const { title, done } = (body ?? {}) as Record<string, unknown>;
  if (title !== undefined && (typeof title !== 'string' || title.trim() === '' || title.length > MAX_TITLE)) {
    throw new BadRequestException(`title must be a text of 1 to ${MAX_TITLE} characters`);
  }
  if (done !== undefined && typeof done !== 'boolean') throw new BadRequestException('done must be true or false');
  return { ...(title !== undefined && { title: title.trim() }), ...(done !== undefined && { done }) };
}
