export interface Todo {
  id: number;
  title: string;
  done: boolean;
}

export type TodoChange = Partial<Pick<Todo, 'title' | 'done'>>;

/** Where todos live; an abstract class, so that it can be its own injection token. */
export abstract class TodoStore {
  abstract list(): Promise<Todo[]>;
  abstract find(id: number): Promise<Todo | undefined>;
  abstract add(title: string): Promise<Todo>;
  abstract update(id: number, change: TodoChange): Promise<Todo | undefined>;
  abstract remove(id: number): Promise<boolean>;
  /** Rejects when the store cannot be used. */
  abstract ping(): Promise<void>;
}
