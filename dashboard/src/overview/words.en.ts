import type { Words } from '../i18n/words';
import type { overviewWords as spanish } from './words.es';

export const overviewWords: Words<typeof spanish> = {
  overview: {
    title: 'Overview',
    where: 'Where is it?',
    kpi: {
      accepted: 'Accepted',
      stored: 'Stored',
      duplicates: 'Duplicates',
      deadLetters: 'Dead letters',
      acceptedHint: 'Events received and put on the queue.',
      storedHint: 'Events kept in the event store, each exactly once.',
      duplicatesHint: 'Repetitions dropped: the same event sent again.',
      deadLettersHint: 'Events set aside because no stage could process them.',
    },
    perSecond: '/s',
    totalLabel: 'in total',
    trend: (label) => `${label}: last minute`,
    throughput: 'Events per second',
    throughputNote: 'Moving average over 5 s',
    throughputSummary: (accepted, stored) =>
      `Chart of the last five minutes. At present ${accepted} events per second are accepted and ${stored} are stored.`,
    waiting: 'Waiting for the first data…',
    idle: 'No event in the last five minutes. As soon as a carrier sends one it will show here.',
    showTable: 'Show table',
    showChart: 'Show chart',
    tableCaption: 'Events per second, every ten seconds, latest first',
    time: 'Time',
    balance: {
      title: 'Balance',
      explain: 'Everything accepted is somewhere.',
      accepted: 'Accepted',
      stored: 'Stored',
      duplicates: 'Duplicates',
      dropped: 'Dropped',
      deadLetters: 'Dead letters',
      inFlight: 'In flight',
      over: (n) => `${n} too many: more was settled than accepted.`,
      closed: 'Balanced',
      open: 'Not balanced',
      summary: (accepted, stored, inFlight) =>
        `Of ${accepted} accepted, ${stored} are stored and ${inFlight} in flight.`,
    },
  },
};
