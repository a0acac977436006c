import type { Kind } from '../api/types';
import type { Catalog } from '../i18n/es';
import type { Formats } from '../i18n/format';

/** A value as it is shown: a text, or a list of them. */
export type Shown = { text: string } | { list: readonly string[] };

/** Whose settings they are. */
export type Of = 'tenant' | 'carrier';

const number = (value: unknown) => (typeof value === 'number' ? value : undefined);

const mebi = 1024 * 1024;
const size = (n: number, f: Formats) => (n % mebi === 0 ? `${f.decimal(n / mebi)} MiB` : `${f.decimal(n / 1024)} KiB`);

/** What a setting says, in words; what this dashboard does not know is shown as it came. */
export function wordsOf(key: string, value: unknown, of: Of, t: Catalog, f: Formats): Shown {
  const words = t.carriers.settings;
  const n = number(value);
  if (Array.isArray(value)) {
    if (value.length > 0) return { list: value.map(String) };
    return { text: of === 'carrier' && key === 'sources' ? words.noOther : words.any };
  }
  if (typeof value === 'boolean') {
    if (key === 'active') return { text: value ? words.isActive : words.isInactive };
    return { text: value ? words.taken : words.notTaken };
  }
  if (key === 'retention_days' || key.startsWith('retention_by_kind.')) {
    return { text: n === undefined ? words.forever : words.days(n, f.count(n)) };
  }
  if (value === null || value === undefined) return { text: key === 'defaults.station' ? words.none : words.unlimited };
  if (n === undefined) return { text: String(value) };
  switch (key) {
    case 'rate_per_second':
    case 'limits.events_per_second':
      return { text: words.perSecond(n, f.decimal(n)) };
    case 'max_payload_bytes':
      return { text: words.perEvent(size(n, f)) };
    case 'max_body_bytes':
    case 'limits.max_body_bytes':
      return { text: words.perRequest(size(n, f)) };
    case 'max_events':
    case 'limits.max_events':
      return { text: words.eventsPerRequest(n, f.count(n)) };
    case 'limits.requests_in_hand':
      return { text: words.atOnce(n, f.count(n)) };
    case 'codes':
      return { text: words.codes(n, f.count(n)) };
    default:
      return { text: f.decimal(n) };
  }
}

/** What a setting is called; undefined when this dashboard does not know it. */
export function nameOf(key: string, of: Of, t: Catalog): string | undefined {
  const words = t.carriers.settings;
  const kind = /^retention_by_kind\.(.+)$/.exec(key)?.[1];
  if (kind) return words.retentionOf(t.trace.kind[kind as Kind] ?? kind);
  if (of === 'carrier' && key === 'sources') return words.alsoSources;
  return words.name[key as keyof typeof words.name];
}
