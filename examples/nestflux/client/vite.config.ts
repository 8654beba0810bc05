import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const server = 'http://127.0.0.1:3001';

export default defineConfig({
  plugins: [react()],
  envPrefix: ['VITE_', 'PUBLIC_'],
  // For `npm run dev` only: in production Portcullis does the same.
  server: {
    proxy: {
      '/api/': { target: server, rewrite: (path) => path.replace(/^\/api/, '') },
      '/socket.io/': { target: server, ws: true },
    },
  },
});
