import type { Catalog } from './es';
import type { Language } from './language';

/** A time as a sender wrote it: the clock on the wall there, and how far that clock is from UTC. */
export interface WallTime {
  /** YYYY-MM-DD */
  date: string;
  /** HH:MM:SS */
  time: string;
  /** Minutes east of UTC. */
  offset: number;
}

const rfc3339 = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})$/;

/** Reads an RFC 3339 time without moving it to another zone; undefined when it is none. */
export function wallTime(text: string): WallTime | undefined {
  const match = rfc3339.exec(text);
  if (!match) return undefined;
  const [, date = '', time = '', , zone = 'Z'] = match;
  return { date, time, offset: offsetOf(zone) };
}

function offsetOf(zone: string): number {
  if (zone.toUpperCase() === 'Z') return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6));
  return zone.startsWith('-') ? -minutes : minutes;
}

/** Microseconds since the epoch, exact well beyond this century; NaN when the text is no RFC 3339 time. */
export function micros(text: string): number {
  const match = rfc3339.exec(text);
  if (!match) return Number.NaN;
  const [, date, time, fraction = '', zone = 'Z'] = match;
  const seconds = Date.parse(`${date}T${time}${zone.toUpperCase()}`);
  return seconds * 1000 + Number(fraction.slice(0, 6).padEnd(6, '0'));
}

/** The clock on the wall, at an offset from UTC, of an RFC 3339 time. */
export function wallTimeAt(text: string, offset: number): WallTime | undefined {
  const at = micros(text);
  if (Number.isNaN(at)) return undefined;
  const iso = new Date(Math.floor(at / 1000) + offset * 60_000).toISOString();
  return { date: iso.slice(0, 10), time: iso.slice(11, 19), offset };
}

/** An offset as people write it: "−05:00", with the minus sign and not a hyphen. */
export function offsetText(minutes: number): string {
  const abs = Math.abs(minutes);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${minutes < 0 ? '−' : '+'}${two(Math.floor(abs / 60))}:${two(abs % 60)}`;
}

export interface Formats {
  /** A whole number with its thousands apart: "4.210". */
  count(n: number): string;
  /** A rate in at most four digits: "3,4", "4.441", "18,4k". */
  rate(n: number | undefined): string;
  decimal(n: number): string;
  /** A share; one too small for its digits is said to be so, not nothing. */
  percent(n: number): string;
  /** A length of time in its two largest units: "1 h 25 min". */
  duration(ms: number): string;
  /** A short time in its unit: "23 ms", "1,3 s", and beyond a minute as a duration. */
  ms(n: number | undefined): string;
  /** By how much something changed: "+12 %". */
  change(share: number): string;
  /** How long ago: "hace 3 minutos". */
  ago(ms: number): string;
  /** A day written YYYY-MM-DD: "jueves, 20 de noviembre de 2025". */
  day(date: string): string;
  dayShort(date: string): string;
  /** An instant in the chosen zone, with the zone named. */
  here(text: string): string;
  /** Hours, minutes and seconds in the chosen zone. */
  clock(ms: number): string;
  clockShort(ms: number): string;
  /** The day and the minute in the chosen zone. */
  dayClock(ms: number): string;
  /** From one instant to another, in the chosen zone, without saying twice what both share. */
  stretch(from: number, to: number): string;
  /** "UTC−05:00" */
  zone(offset: number): string;
  country(code: string): string;
}

/** `timeZone` is that of the instants: an IANA name, or undefined for this browser's. */
export function formats(language: Language, t: Catalog, timeZone?: string): Formats {
  const grouped = new Intl.NumberFormat(language, { useGrouping: 'always', maximumFractionDigits: 0 });
  const one = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  const two = new Intl.NumberFormat(language, { useGrouping: 'always', maximumFractionDigits: 2 });
  const percent = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 1 });
  const change = new Intl.NumberFormat(language, {
    style: 'percent',
    maximumFractionDigits: 0,
    signDisplay: 'exceptZero',
  });
  const relative = new Intl.RelativeTimeFormat(language, { numeric: 'always' });
  const utc = { timeZone: 'UTC' } as const;
  const zone = timeZone ? { timeZone } : {};
  const day = new Intl.DateTimeFormat(language, {
    ...utc,
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    year: 'numeric',
  });
  const dayShort = new Intl.DateTimeFormat(language, { ...utc, day: 'numeric', month: 'short' });
  const here = new Intl.DateTimeFormat(language, {
    ...zone,
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'short',
  });
  const clock = new Intl.DateTimeFormat(language, {
    ...zone,
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  });
  const clockShort = new Intl.DateTimeFormat(language, {
    ...zone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const dayClock = new Intl.DateTimeFormat(language, {
    ...zone,
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const stretch = new Intl.DateTimeFormat(language, {
    ...zone,
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const regions = new Intl.DisplayNames(language, { type: 'region', fallback: 'code' });

  return {
    count: (n) => (Number.isFinite(n) ? grouped.format(n) : t.time.unknown),
    decimal: (n) => two.format(n),
    percent: (n) => (n > 0 && n < 0.0005 ? `<${percent.format(0.001)}` : percent.format(n)),
    rate(n) {
      if (n === undefined || !Number.isFinite(n)) return t.time.unknown;
      if (n > 0 && n < 0.05) return `<${one.format(0.1)}`;
      if (n < 10) return one.format(n);
      if (n < 9_999.5) return grouped.format(n);
      if (n < 999_950) return `${one.format(n / 1000)}k`;
      return `${one.format(n / 1_000_000)}M`;
    },
    duration: (ms) => duration(ms, t),
    ms(n) {
      if (n === undefined || !Number.isFinite(n)) return t.time.unknown;
      const { units } = t.time;
      if (n > 0 && n < 0.95) return `<1 ${units.ms}`;
      if (n < 10) return `${one.format(n)} ${units.ms}`;
      if (n < 999.5) return `${grouped.format(n)} ${units.ms}`;
      if (n < 59_950) return `${one.format(n / 1000)} ${units.s}`;
      return duration(n, t);
    },
    change: (share) => change.format(share),
    ago(ms) {
      const s = Math.round(ms / 1000);
      if (s < 5) return t.time.now;
      if (s < 60) return relative.format(-s, 'second');
      if (s < 3600) return relative.format(-Math.floor(s / 60), 'minute');
      if (s < 86_400) return relative.format(-Math.floor(s / 3600), 'hour');
      return relative.format(-Math.floor(s / 86_400), 'day');
    },
    day: (date) => day.format(new Date(`${date}T00:00:00Z`)),
    dayShort: (date) => dayShort.format(new Date(`${date}T00:00:00Z`)),
    here: (text) => here.format(new Date(text)),
    clock: (ms) => clock.format(ms),
    clockShort: (ms) => clockShort.format(ms),
    dayClock: (ms) => dayClock.format(ms),
    stretch: (from, to) => stretch.formatRange(from, to),
    zone: (offset) => (offset === 0 ? t.time.utc : t.time.zone(offsetText(offset))),
    country(code) {
      try {
        return regions.of(code) ?? code;
      } catch {
        return code; // not an ISO 3166-1 code
      }
    },
  };
}

function duration(ms: number, t: Catalog): string {
  const { units } = t.time;
  const s = Math.floor(Math.abs(ms) / 1000);
  const pair = (a: number, ua: string, b: number, ub: string) => (b === 0 ? `${a} ${ua}` : `${a} ${ua} ${b} ${ub}`);
  if (s < 60) return `${s} ${units.s}`;
  if (s < 600) return pair(Math.floor(s / 60), units.min, s % 60, units.s);
  if (s < 3600) return `${Math.floor(s / 60)} ${units.min}`;
  if (s < 86_400) return pair(Math.floor(s / 3600), units.h, Math.floor((s % 3600) / 60), units.min);
  return pair(Math.floor(s / 86_400), units.d, Math.floor((s % 86_400) / 3600), units.h);
}
