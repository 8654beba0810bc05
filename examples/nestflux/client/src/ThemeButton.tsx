import { useState } from 'react';

export function ThemeButton() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme);

  function toggle() {
    const next = theme === 'dark' ? 'light' : 'dark';
    document.documentElement.dataset.theme = next;
    localStorage.setItem('theme', next);
    setTheme(next);
  }

  return (
    <button className="quiet" onClick={toggle} data-testid="theme">
      {theme === 'dark' ? 'Light' : 'Dark'}
    </button>
  );
}
