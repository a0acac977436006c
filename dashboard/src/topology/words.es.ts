import { plural } from '../i18n/words';

export const topologyWords = {
  topology: {
    title: 'Topología en vivo',
    waiting: (text: string) => `${text} en cola`,
    oldest: (age: string) => `hace ${age}`,
    growing: 'La cola crece',
    draining: 'La cola baja',
    p95: (time: string) => `p95 ${time}`,
    rejected: (rate: string) => `${rate}/s rechaza`,
    retried: (rate: string) => `${rate}/s reintenta`,
    returning: (rate: string) => `${rate}/s vuelve`,
    returningHint: 'Eventos que la etapa no pudo procesar y vuelven a la cola para otro intento',
    dropped: (share: string) => `${share} dup.`,
    breakerOpen: 'Cortado',
    workers: (n: number) => plural(n, '1 hilo', `${n} hilos`),
    letters: (n: string) => `DLQ ${n}`,
  },
};
