import { type FormEvent, useEffect, useState } from 'react';

import { api } from '../api';

interface Todo {
  id: number;
  title: string;
  done: boolean;
}

export function Todos() {
  const [todos, setTodos] = useState<Todo[]>();
  const [title, setTitle] = useState('');
  const [fault, setFault] = useState<string>();

  function run(work: Promise<void>) {
    work.then(
      () => setFault(undefined),
      (error: Error) => setFault(error.message),
    );
  }

  useEffect(() => run(api<Todo[]>('/todos').then(setTodos)), []);

  async function add() {
    const todo = await api<Todo>('/todos', 'POST', { title });
    setTodos((old = []) => [...old, todo]);
    setTitle('');
  }

  async function toggle({ id, done }: Todo) {
    const changed = await api<Todo>(`/todos/${id}`, 'PATCH', { done: !done });
    setTodos((old) => old?.map((todo) => (todo.id === id ? changed : todo)));
  }

  async function remove({ id }: Todo) {
    await api(`/todos/${id}`, 'DELETE');
    setTodos((old) => old?.filter((todo) => todo.id !== id));
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    run(add());
  }

  return (
    <>
      <h1>Todos</h1>
      <form onSubmit={submit}>
        <input
          value={title}
          onChange={(event) => setTitle(event.target.value)}
          placeholder="What is to be done?"
          aria-label="New todo"
          maxLength={200}
          required
          data-testid="todo-title"
        />
        <button data-testid="todo-add">Add</button>
      </form>
      {fault && <p role="alert">{fault}</p>}
      {todos && (
        <ul className="todos" data-testid="todos">
          {todos.map((todo) => (
            <li key={todo.id} data-testid="todo">
              <label className={todo.done ? 'done' : undefined}>
                <input type="checkbox" checked={todo.done} onChange={() => run(toggle(todo))} />
                {todo.title}
              </label>
              <button className="quiet" onClick={() => run(remove(todo))} aria-label={`Remove ${todo.title}`}>
                Remove
              </button>
            </li>
          ))}
        </ul>
      )}
      {todos?.length === 0 && <p>Nothing to do.</p>}
    </>
  );
}
