import { useEffect, useRef, useState } from 'react';
import { io, type Socket } from 'socket.io-client';

interface Count {
  value: number;
  instance: string;
}

export function Live() {
  const socket = useRef<Socket>(null);
  const [count, setCount] = useState<Count>();
  const [transport, setTransport] = useState<string>();

  useEffect(() => {
    const connection = io();
    socket.current = connection;
    connection.on('count', setCount);
    connection.on('connect', () => {
      // The engine is another after each reconnection.
      const { engine } = connection.io;
      setTransport(engine.transport.name);
      engine.once('upgrade', (upgraded) => setTransport(upgraded.name));
    });
    connection.on('disconnect', () => setTransport(undefined));
    return () => void connection.disconnect();
  }, []);

  return (
    <>
      <h1>Live</h1>
      <p className="count" data-testid="count">
        {count?.value ?? '–'}
      </p>
      <p>
        <button onClick={() => socket.current?.emit('increment')} disabled={!transport} data-testid="increment">
          One more
        </button>
      </p>
      <p className="muted">
        Transport <code data-testid="transport">{transport ?? 'not connected'}</code>, instance{' '}
        <code data-testid="instance">{count?.instance ?? '–'}</code>
      </p>
    </>
  );
}
