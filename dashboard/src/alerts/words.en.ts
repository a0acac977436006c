import { plural, type Words } from '../i18n/words';
import type { alertsWords as spanish } from './words.es';

export const alertsWords: Words<typeof spanish> = {
  alerts: {
    title: 'Alerts',
    lead: 'What is wrong just now, the worst first.',
    lookedAt: (time) => `What is wrong just now, the worst first. Checked at ${time}.`,
    none: 'Nothing is wrong',
    notYet: 'Nothing has been checked yet',
    noneNext: 'This is what is watched; as soon as something is beyond its limit, it shows here.',
    watched: 'What is watched',
    severity: { critical: 'Critical', warning: 'Warning', notice: 'Good to know' },
    since: (ago) => `Since ${ago}`,
    over: (ago) => `Over ${ago}`,
    value: (text) => `Now ${text}`,
    limit: (text) => `limit ${text}`,
    system: 'Of the whole system',
    runbook: 'What to do',
    silence: 'Silence',
    unsilence: 'End the silence',
    silencedBy: (who, until) => `Silenced by ${who} until ${until}:`,
    silenced: (_, text) => `${text} silenced`,
    pending: (_, text) => `${text} to come if it lasts`,
    resolved: (_, text) => `${text} over in the last seven days`,
    wanting: (n, text) => plural(n, `${text} alert wants somebody`, `${text} alerts want somebody`),
    dialog: {
      title: 'Silence an alert',
      explain:
        'It stays in the list, below the others, and is not counted. The silence ends by itself and holds for your organisation.',
      lasting: 'For',
      until: (time) => `Until ${time}`,
      reason: 'Why',
      reasonHint: 'It goes into the audit, for who comes after you.',
      confirm: 'Silence',
    },
    what: {
      breaker: (stage) => `${stage} is cut off: it no longer calls a service that fails`,
      halfOpen: (stage) => `${stage} tries a service again that failed`,
      processors: (n, text, pipeline) =>
        plural(n, `Nobody runs 1 stage of ${pipeline}`, `Nobody runs ${text} stages of ${pipeline}`),
      queueLag: (queue, age) => `In the queue ${queue} the first has waited for ${age}`,
      queueGrows: (queue, depth) => `The queue ${queue} grows: ${depth} wait`,
      untold: (n, text) =>
        plural(n, 'The broker does not tell of 1 queue', `The broker does not tell of ${text} queues`),
      config: (n, text) =>
        plural(
          n,
          'The configuration has 1 error: no process takes it',
          `The configuration has ${text} errors: no process takes it`,
        ),
      partitions: (n, text) =>
        plural(
          n,
          '1 partition of the next days is missing in the database',
          `${text} partitions of the next days are missing in the database`,
        ),
      late: (stage, age) => `${stage} is ${age} behind`,
      slow: (pipeline, time) => `Events of ${pipeline} take ${time} to be stored`,
      retries: (stage, share) => `${stage} retries ${share} of its events`,
      balance: {
        twice: (n, text, pipeline) =>
          plural(n, `${pipeline}: 1 event ended twice`, `${pipeline}: ${text} events ended twice`),
        unreceived: (n, text, pipeline) =>
          plural(
            n,
            `${pipeline}: 1 event ended without having come`,
            `${pipeline}: ${text} events ended without having come`,
          ),
        in_flight: (n, text, pipeline) =>
          plural(
            n,
            `${pipeline}: 1 event came and did not end, and nothing waits`,
            `${pipeline}: ${text} events came and did not end, and nothing waits`,
          ),
      },
      letters: (stage, share, reason) => `${stage} rejects ${share} of its events: ${reason}`,
      openLetters: (n, text) =>
        plural(n, `${text} dead letter waits for a decision`, `${text} dead letters wait for a decision`),
      silent: (source, age) => `${source} has sent nothing for ${age}`,
      rejected: (source, share) => `${share} of what ${source} sends is rejected`,
      unmapped: (source, share) => `${share} of what ${source} sends has unknown codes`,
    },
    kinds: {
      'breaker-open': 'Stages cut off from a service',
      'processors-missing': 'Stages that nobody runs',
      'queue-lag': 'Queues in which something waits',
      'queue-growing': 'Queues that grow',
      'queues-unknown': 'Queues that nothing is known of',
      'config-refused': 'A configuration with errors',
      'partitions-missing': 'Partitions of the database',
      'stage-late': 'Stages that are late',
      'pipeline-slow': 'How long storing takes',
      'stage-retries': 'Stages that retry',
      'balance-broken': 'The balance of all events',
      'dead-letters-rising': 'Rejections that become more',
      'dead-letters-open': 'Dead letters',
      'carrier-silent': 'Silent carriers',
      'carrier-rejected': 'Rejections of a carrier',
      'carrier-unmapped': 'Unknown codes of a carrier',
    },
  },
};
