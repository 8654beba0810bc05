import './About.css';

import { release } from '../env';

export default function About() {
  return (
    <>
      <h1 data-testid="about">About</h1>
      <p className="about">
        This page lies in a chunk of its own, with its own style sheet. Both have a hash in their names, so that a
        browser may keep them for ever; and both must still be there for whoever opened the site before a new release.
      </p>
      {release && <p data-testid="about-release">This is release {release}.</p>}
    </>
  );
}
