import { carrierWords } from '../carriers/words.en';
import { configWords } from '../config/words.en';
import { frameWords } from '../frame/words.en';
import { overviewWords } from '../overview/words.en';
import { paletteWords } from '../palette/words.en';
import { queuesWords } from '../queues/words.en';
import { searchWords } from '../search/words.en';
import { stagesWords } from '../stages/words.en';
import { topologyWords } from '../topology/words.en';
import { traceWords } from '../trace/words.en';
import { journeyWords } from '../trace/words.journey.en';
import { listWords } from '../traces/words.en';
import type { Catalog } from './es';

export const en: Catalog = {
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
    title: 'Loading failed',
    unreachable: 'The server does not answer. It may be restarting.',
    forbidden:
      'Your account may not see this. Ask your administrator for the permission that is missing (traces:read or ops:read).',
    notFound: 'It no longer exists, or never did. Check the link.',
    conflict: 'Something changed meanwhile. Look again before repeating it.',
    invalid: 'The server does not understand what was asked. Correct it and try again.',
    unavailable:
      'The database or the broker does not answer at present. It is tried again; if it lasts, tell whoever runs the server.',
    tooMany: 'Too many requests in a row. Wait a few seconds.',
    server: 'The server had a problem. Try again.',
    unexpected: 'Something failed on this page.',
    retry: 'Try again',
    reload: 'Reload the page',
    reference: 'Reference',
    stale: 'Updating failed; what was last known is shown.',
    notFoundTitle: 'This page does not exist',
    notFoundNext: 'The link may have been copied wrong.',
    home: 'Go to the overview',
  },
  chart: {
    showTable: 'Show table',
    showChart: 'Show chart',
    time: 'Time',
    caption: (title) => `${title}, the latest first`,
  },
  health: {
    ok: 'Well',
    warn: 'Attention',
    bad: 'Bad',
    idle: 'No data',
    paused: 'Paused',
  },
  ui: {
    seeAll: 'See all',
    more: 'Load more',
    cancel: 'Cancel',
    close: 'Close',
    sortedBy: (column) => `Sorted by ${column}`,
    loading: 'Loading…',
  },
  time: {
    utc: 'UTC',
    zone: (offset) => `UTC${offset}`,
    yours: (text) => `In your zone: ${text}`,
    units: { d: 'd', h: 'h', min: 'min', s: 's', ms: 'ms' },
    now: 'just now',
    unknown: '—',
  },
};
