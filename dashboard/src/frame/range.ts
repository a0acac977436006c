import { useNavigate, useSearch } from '@tanstack/react-router';

/** Ranges that end now, and how long they are in milliseconds. */
export const relativeRanges = {
  '5m': 5 * 60_000,
  '15m': 15 * 60_000,
  '1h': 3_600_000,
  '6h': 6 * 3_600_000,
  '24h': 24 * 3_600_000,
  '7d': 7 * 24 * 3_600_000,
} as const;

export type RelativeRange = keyof typeof relativeRanges;

/** What pages show figures of: so long until now, or from one instant to another. */
export type Range =
  | { kind: 'relative'; name: RelativeRange; ms: number }
  | { kind: 'absolute'; from: number; to: number; ms: number };

export const defaultRange: RelativeRange = '15m';

/** Figures by the minute are kept for eight days: see docs/live.md. */
const longest = 8 * 24 * 3_600_000;
const shortest = 60_000;
const between = '--';

export const isRelative = (text: string): text is RelativeRange => Object.hasOwn(relativeRanges, text);

export const relative = (name: RelativeRange): Range => ({ kind: 'relative', name, ms: relativeRanges[name] });

/** An absolute range of a length that figures can be asked for. */
export function absolute(from: number, to: number): Range {
  const ms = Math.min(Math.max(to - from, shortest), longest);
  return { kind: 'absolute', from: to - ms, to, ms };
}

/** Reads a range as it stands in an address: `15m`, or two instants. Whatever else there is becomes the default. */
export function parseRange(text: string | undefined): Range {
  if (text === undefined) return relative(defaultRange);
  if (isRelative(text)) return relative(text);
  const [from, to] = text.split(between).map((t) => Date.parse(t));
  if (from === undefined || to === undefined || !(to > from)) return relative(defaultRange);
  return absolute(from, to);
}

/** Writes a range into an address; the default one is left out. */
export function rangeText(range: Range): string | undefined {
  if (range.kind === 'relative') return range.name === defaultRange ? undefined : range.name;
  return [range.from, range.to].map((ms) => new Date(ms).toISOString()).join(between);
}

/** From when to when a range is, at a moment. */
export const bounds = (range: Range, now: number): { from: number; to: number } =>
  range.kind === 'absolute' ? { from: range.from, to: range.to } : { from: now - range.ms, to: now };

/** The range moved by half its length; one into the future ends now instead. */
export function shifted(range: Range, direction: -1 | 1, now: number): Range {
  const { from, to } = bounds(range, now);
  const by = (direction * range.ms) / 2;
  return to + by >= now ? absolute(now - range.ms, now) : absolute(from + by, to + by);
}

/** As the API wants it: a length from 1m to 24h that ends now. */
export function windowOf(range: Range): string {
  const minutes = Math.min(Math.max(Math.round(range.ms / 60_000), 1), 24 * 60);
  return `${minutes}m`;
}

/** The range in the address, and how to change it. */
export function useRange(): [range: Range, setRange: (range: Range) => void] {
  const text = useSearch({ strict: false, select: (s) => s.range });
  const navigate = useNavigate();
  return [
    parseRange(text),
    (range) =>
      void navigate({ to: '.', search: (prev: object) => ({ ...prev, range: rangeText(range) }), replace: true }),
  ];
}
