import { Link } from 'react-router';

export function Home() {
  return (
    <>
      <h1 data-testid="home">NestFlux</h1>
      <p>A small NestJS application and this React client, served over one HTTPS origin by Portcullis.</p>
      <ul className="cards">
        <li>
          <Link to="/todos">Todos</Link> A REST resource, under <code>/api/todos</code>.
        </li>
        <li>
          <Link to="/live">Live</Link> A counter over Socket.IO, on <code>/socket.io/</code>.
        </li>
        <li>
          <Link to="/whoami">Who am I</Link> What the server knows of your request.
        </li>
        <li>
          <Link to="/about">About</Link> A page that is loaded when you go there.
        </li>
      </ul>
    </>
  );
}
