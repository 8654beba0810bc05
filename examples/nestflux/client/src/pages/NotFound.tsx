import { Link } from 'react-router';

export function NotFound() {
  return (
    <>
      <h1 data-testid="not-found">There is no such page</h1>
      <p>
        <Link to="/">Go home</Link>
      </p>
    </>
  );
}
