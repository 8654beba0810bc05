import { useEffect, useState } from 'react';

import { api } from '../api';

type Identity = Record<string, unknown>;

export function Whoami() {
  const [identity, setIdentity] = useState<Identity>();
  const [fault, setFault] = useState<string>();

  useEffect(() => {
    api<Identity>('/whoami').then(setIdentity, (error: Error) => setFault(error.message));
  }, []);

  return (
    <>
      <h1>Who am I</h1>
      {fault && <p role="alert">{fault}</p>}
      {identity && (
        <dl data-testid="whoami">
          {Object.entries(identity).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd data-testid={`whoami-${name}`}>{typeof value === 'string' ? value : JSON.stringify(value)}</dd>
            </div>
          ))}
        </dl>
      )}
    </>
  );
}
