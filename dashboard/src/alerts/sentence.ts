import type { Schema } from '../api/typed';
import type { Catalog } from '../i18n/es';
import type { Formats } from '../i18n/format';
import type { Health } from '../topology/health';
import type { Alert, Severity } from './queries';

/** What was measured, or what is allowed, with its unit. */
export function measured(n: number, unit: Alert['unit'], f: Formats): string {
  if (unit === 'ms') return f.ms(n);
  return unit === 'share' ? f.percent(n) : f.count(n);
}

const stageOf = (subject: Schema<'AlertSubject'>): string => `${subject.pipeline ?? ''}.${subject.stage ?? ''}`;

/** What is wrong, in a sentence. Kinds of a later server are said in its own words. */
export function sentence(alert: Alert, t: Catalog, f: Formats): string {
  const words = t.alerts.what;
  const { subject, value } = alert;
  const text = measured(value, alert.unit, f);
  switch (alert.kind) {
    case 'breaker-open':
      return alert.severity === 'critical' ? words.breaker(stageOf(subject)) : words.halfOpen(stageOf(subject));
    case 'processors-missing':
      return words.processors(value, text, subject.pipeline ?? '');
    case 'queue-lag':
      return words.queueLag(subject.topic ?? '', text);
    case 'queue-growing':
      return words.queueGrows(subject.topic ?? '', text);
    case 'queues-unknown':
      return words.untold(value, text);
    case 'config-refused':
      return words.config(value, text);
    case 'partitions-missing':
      return words.partitions(value, text);
    case 'stage-late':
      return words.late(stageOf(subject), text);
    case 'pipeline-slow':
      return words.slow(subject.pipeline ?? '', text);
    case 'stage-retries':
      return words.retries(stageOf(subject), text);
    case 'balance-broken':
      return words.balance[balanceOf(subject.reason)](value, text, subject.pipeline ?? '');
    case 'dead-letters-rising':
      return words.letters(stageOf(subject), text, subject.reason ?? '');
    case 'dead-letters-open':
      return words.openLetters(value, text);
    case 'carrier-silent':
      return words.silent(subject.source ?? '', text);
    case 'carrier-rejected':
      return words.rejected(subject.source ?? '', text);
    case 'carrier-unmapped':
      return words.unmapped(subject.source ?? '', text);
    default:
      return alert.message;
  }
}

const balanceOf = (reason: string | undefined): 'twice' | 'unreceived' | 'in_flight' =>
  reason === 'twice' || reason === 'unreceived' ? reason : 'in_flight';

/** What is looked for, by its kind; kinds of a later server by their name. */
export const kindName = (kind: string, t: Catalog): string =>
  Object.entries(t.alerts.kinds).find(([known]) => known === kind)?.[1] ?? kind;

/** The mark that an alert has. */
export const healthOf = (severity: Severity): Health =>
  severity === 'critical' ? 'bad' : severity === 'warning' ? 'warn' : 'idle';
