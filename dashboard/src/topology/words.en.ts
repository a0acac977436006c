import { plural, type Words } from '../i18n/words';
import type { topologyWords as spanish } from './words.es';

export const topologyWords: Words<typeof spanish> = {
  topology: {
    title: 'Live topology',
    waiting: (text) => `${text} queued`,
    oldest: (age) => `for ${age}`,
    growing: 'The queue grows',
    draining: 'The queue shrinks',
    p95: (time) => `p95 ${time}`,
    rejected: (rate) => `${rate}/s rejects`,
    retried: (rate) => `${rate}/s retries`,
    returning: (rate) => `${rate}/s returns`,
    returningHint: 'Events that the stage could not process and that go back to the queue for another attempt',
    dropped: (share) => `${share} dup.`,
    breakerOpen: 'Cut off',
    workers: (n) => plural(n, '1 worker', `${n} workers`),
    letters: (n) => `DLQ ${n}`,
  },
};
