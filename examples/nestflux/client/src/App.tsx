import { lazy, Suspense } from 'react';
import { NavLink, Route, Routes } from 'react-router';

import { Home } from './pages/Home';
import { Live } from './pages/Live';
import { NotFound } from './pages/NotFound';
import { Todos } from './pages/Todos';
import { Whoami } from './pages/Whoami';
import { ThemeButton } from './ThemeButton';

const About = lazy(() => import('./pages/About'));

const LINKS = [
  ['/todos', 'Todos'],
  ['/live', 'Live'],
  ['/whoami', 'Who am I'],
  ['/about', 'About'],
] as const;

export function App() {
  return (
    <>
      <header className="bar">
        <NavLink to="/" className="brand" data-testid="nav-home">
          NestFlux
        </NavLink>
        <nav>
          {LINKS.map(([path, label]) => (
            <NavLink key={path} to={path} data-testid={`nav-${path.slice(1)}`}>
              {label}
            </NavLink>
          ))}
        </nav>
        <ThemeButton />
      </header>
      <main>
        <Suspense fallback={<p>Loading…</p>}>
          <Routes>
            <Route path="/" element={<Home />} />
            <Route path="/todos" element={<Todos />} />
            <Route path="/live" element={<Live />} />
            <Route path="/whoami" element={<Whoami />} />
            <Route path="/about" element={<About />} />
            <Route path="*" element={<NotFound />} />
          </Routes>
        </Suspense>
      </main>
    </>
  );
}
