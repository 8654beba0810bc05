// What backends of Node have in common: they say where they listen, as one line of JSON.

/** Listens on a free loopback port. */
export function listen(server) {
  server.listen(0, '127.0.0.1', () => {
    console.log(JSON.stringify({ listening: server.address().port }));
  });
}
