// Prints what a first visit downloads, gzipped, and fails when its JavaScript passes the budget.
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const root = new URL('../dist/app/', import.meta.url);
const budget = 250 * 1024;
const gzip = (name) => gzipSync(readFileSync(new URL(name, root)), { level: 9 }).length;
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} kB`;

const html = readFileSync(new URL('index.html', root), 'utf8');
const named = [...html.matchAll(/(?:src|href)="\.\/([^"]+\.(?:js|css))"/g)].map((m) => m[1]);
const initial = [...new Set(named)];
const scripts = initial.filter((n) => n.endsWith('.js'));
const lazy = readdirSync(new URL('assets/', root))
  .filter((n) => n.endsWith('.js'))
  .map((n) => `assets/${n}`)
  .filter((n) => !scripts.includes(n));

for (const name of [...initial, ...lazy]) {
  console.log(`${initial.includes(name) ? 'initial' : 'lazy   '}  ${kib(gzip(name)).padStart(10)}  ${name}`);
}
const total = scripts.reduce((sum, name) => sum + gzip(name), 0);
console.log(`initial JavaScript ${kib(total)} gzip, budget ${kib(budget)}`);
if (total > budget) {
  console.error('the initial JavaScript is over its budget');
  process.exit(1);
}
