import { lazy, Suspense } from 'react';
import { createRoot } from 'react-dom/client';
import { BrowserRouter, NavLink, Route, Routes } from 'react-router';
import pages from 'virtual:pages';
import 'virtual:register';

import { release } from './release.js';

const routes = pages.map((load, index) => ({ path: `/page/${index}`, id: `to-${index}`, Page: lazy(load) }));

createRoot(document.getElementById('root')).render(
  <BrowserRouter>
    <nav data-testid="release" data-release={release}>
      {routes.map(({ path, id }) => (
        <NavLink key={path} to={path} data-testid={id}>
          {path}
        </NavLink>
      ))}
    </nav>
    <Suspense fallback={<p>Loading…</p>}>
      <Routes>
        {routes.map(({ path, Page }) => (
          <Route key={path} path={path} element={<Page />} />
        ))}
        <Route path="*" element={<p>Home</p>} />
      </Routes>
    </Suspense>
  </BrowserRouter>,
);
