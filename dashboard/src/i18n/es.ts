// The catalog all others follow: its shape is their type, so a missing text is a compile error. The words of a page stand in its
// folder. Sentences are whole; what varies goes through a function, never through joining pieces.
import { carrierWords } from '../carriers/words.es';
import { configWords } from '../config/words.es';
import { frameWords } from '../frame/words.es';
import { overviewWords } from '../overview/words.es';
import { paletteWords } from '../palette/words.es';
import { queuesWords } from '../queues/words.es';
import { searchWords } from '../search/words.es';
import { stagesWords } from '../stages/words.es';
import { topologyWords } from '../topology/words.es';
import { traceWords } from '../trace/words.es';
import { journeyWords } from '../trace/words.journey.es';
import { listWords } from '../traces/words.es';
import type { Words } from './words';

export const es = {
  ...frameWords,
  ...paletteWords,
  ...queuesWords,
  ...searchWords,
  ...overviewWords,
  ...stagesWords,
  ...topologyWords,
  ...traceWords,
  ...journeyWords,
  ...listWords,
  ...carrierWords,
  ...configWords,
  error: {
    title: 'No se pudo cargar',
    unreachable: 'El servidor no responde. Puede estar reiniciándose.',
    forbidden:
      'Tu cuenta no tiene permiso para ver esto. Pide a tu administrador el permiso que falta (traces:read u ops:read).',
    notFound: 'Ya no existe, o nunca existió. Revisa el enlace.',
    conflict: 'Mientras tanto cambió algo. Vuelve a mirar antes de repetirlo.',
    invalid: 'El servidor no entiende lo que se le pidió. Corrígelo y repite.',
    unavailable:
      'La base de datos o el broker no responde ahora. Se sigue intentando; si dura, avisa a quien opera el servidor.',
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
  chart: {
    showTable: 'Ver tabla',
    showChart: 'Ver gráfico',
    time: 'Hora',
    caption: (title: string) => `${title}, lo más reciente primero`,
  },
  health: {
    ok: 'Bien',
    warn: 'Atención',
    bad: 'Mal',
    idle: 'Sin datos',
    paused: 'En pausa',
  },
  ui: {
    seeAll: 'Ver todo',
    more: 'Cargar más',
    cancel: 'Cancelar',
    close: 'Cerrar',
    sortedBy: (column: string) => `Ordenado por ${column}`,
    loading: 'Cargando…',
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
