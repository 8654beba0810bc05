import { type Todo, type TodoChange, TodoStore } from './todo-store.js';

/** Good for one instance: each process keeps its own list, gone when it ends. */
export class MemoryTodoStore extends TodoStore {
  private static readonly CAPACITY = 1_000;

  private readonly todos = new Map<number, Todo>();
  private lastId = 0;

  async list() {
    return [...this.todos.values()];
  }

  async find(id: number) {
    return this.todos.get(id);
  }

  async add(title: string) {
    const todo = { id: (this.lastId += 1), title, done: false };
    this.todos.set(todo.id, todo);
    if (this.todos.size > MemoryTodoStore.CAPACITY) this.todos.delete(this.todos.keys().next().value!);
    return todo;
  }

  async update(id: number, change: TodoChange) {
    const todo = this.todos.get(id);
    return todo && Object.assign(todo, change);
  }

  async remove(id: number) {
    return this.todos.delete(id);
  }

  async ping() {}
}
