import { expect, it } from 'vitest';
import { type Command, matching } from './commands';

const command = (label: string, group = 'Páginas', also?: string): Command => ({
  id: label,
  label,
  group,
  ...(also && { also }),
  run: () => {},
});
const all = [
  command('Resumen'),
  command('Configuración'),
  command('Últimas 24 h', 'Periodo', '24h'),
  command('Trazas'),
];

it.each([
  ['', ['Resumen', 'Configuración', 'Últimas 24 h', 'Trazas']],
  ['configuracion', ['Configuración']],
  ['ULTIMAS', ['Últimas 24 h']],
  ['24h', ['Últimas 24 h']],
  ['peri 24', ['Últimas 24 h']],
  ['a', ['Configuración', 'Últimas 24 h', 'Trazas', 'Resumen']],
  ['nothing', []],
])('%s', (text, labels) => {
  const found = matching(all, text).map((c) => c.label);
  expect(text === 'a' ? [...found].sort() : found).toEqual(text === 'a' ? [...labels].sort() : labels);
});
