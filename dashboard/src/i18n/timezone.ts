/** Where the chosen time zone is kept. */
export const timeZoneKey = 'rastro.time-zone';

/** Whether this browser knows a time zone by that name. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return name !== '';
  } catch {
    return false;
  }
}

/** The chosen zone; undefined for that of this browser. */
export function initialTimeZone(): string | undefined {
  try {
    const kept = localStorage.getItem(timeZoneKey);
    return kept && isTimeZone(kept) ? kept : undefined;
  } catch {
    return undefined;
  }
}

export function keepTimeZone(name: string | undefined): void {
  try {
    if (name) localStorage.setItem(timeZoneKey, name);
    else localStorage.removeItem(timeZoneKey);
  } catch {
    // Storage may be forbidden; the zone then lasts as long as the page.
  }
}

/** The zone of this browser, by its name. */
export const browserTimeZone = (): string => new Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The names that can be chosen. */
export const timeZones = (): string[] => Intl.supportedValuesOf('timeZone');
