// The catalog all others follow: its shape is their type, so a missing text is a compile error. The words of a page stand in its
// folder. Sentences are whole; what varies goes through a function, never through joining pieces.
import { carrierWords } from '../carriers/words.es';
import { configWords } from '../config/words.es';
import { frameWords } from '../frame/words.es';
import { overviewWords } from '../overview/words.es';
import { paletteWords } from '../palette/words.es';
import { searchWords } from '../search/words.es';
import { traceWords } from '../trace/words.es';
import { journeyWords } from '../trace/words.journey.es';
import { listWords } from '../traces/words.es';
import type { Words } from './words';

export const es = {
  ...frameWords,
  ...paletteWords,
  ...searchWords,
  ...overviewWords,
  ...traceWords,
  ...journeyWords,
  ...listWords,
  ...carrierWords,
  ...configWords,
  error: {
    title: 'No se pudo cargar',
    unreachable: 'El servidor no responde. Puede estar reiniciándose.',
    forbidden: 'Tu cuenta no tiene permiso para ver esto. Pide a tu administrador el permiso traces:read.',
    tooMany: 'Demasiadas consultas seguidas. Espera unos segundos.',
    server: 'El servidor tuvo un problema. Vuelve a intentarlo.',
    unexpected: 'Algo falló en esta página.',
    retry: 'Reintentar',
    reload: 'Recargar la página',
    reference: 'Referencia',
    stale: 'No se pudo actualizar; se muestra lo último que se sabe.',
    notFoundTitle: 'Esta página no existe',
    notFoundNext: 'El enlace puede estar mal copiado.',
    home: 'Ir al resumen',
  },
  time: {
    utc: 'UTC',
    zone: (offset: string) => `UTC${offset}`,
    yours: (text: string) => `En tu zona: ${text}`,
    units: { d: 'd', h: 'h', min: 'min', s: 's', ms: 'ms' },
    now: 'ahora mismo',
    unknown: '—',
  },
};

export type Catalog = Words<typeof es>;
