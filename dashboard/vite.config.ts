import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const edge = process.env.RASTRO_DEV_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  // References are relative to <base href>, which the Go edge writes: the dashboard works under any path prefix.
  base: './',
  build: {
    // Inside dist/ and not dist/ itself: the checked-in placeholder dist/index.html stays as it is.
    outDir: 'dist/app',
    emptyOutDir: true,
    target: 'es2022',
    // The content security policy allows no data: references.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'react', test: /node_modules[\\/](react|react-dom|scheduler)[\\/]/ },
            {
              name: 'tanstack',
              test: /node_modules[\\/]@tanstack[\\/](query-core|react-query|router-core|react-router|history|store|react-store)[\\/]/,
            },
          ],
        },
      },
    },
  },
  server: {
    proxy: {
      '/api': { target: edge, changeOrigin: false },
      '/auth': { target: edge, changeOrigin: false },
    },
  },
});
