import type { Location, Place, Trace, TraceEvent, Transport } from '../api/types';
import type { Formats } from '../i18n/format';

export interface PlaceText {
  /** The city or, where it is not known, the most telling name there is. */
  name: string;
  /** Airport or UN/LOCODE. */
  code?: string;
  /** Airport and country. */
  detail?: string;
  facility?: string;
  timeZone?: string;
}

/** What to call the place of an event; undefined when the sender named none. */
export function placeOf(event: TraceEvent, f: Formats): PlaceText | undefined {
  return describe(event.location, event.enrichment?.place, f);
}

export function lastPlaceOf(trace: Trace, f: Formats): PlaceText | undefined {
  const at = trace.last_location;
  if (!at) return undefined;
  const text = describe(at, undefined, f);
  const name = at.city || text?.name;
  if (!name) return undefined;
  const detail = [at.name !== name ? at.name : undefined, at.country && f.country(at.country)]
    .filter(Boolean)
    .join(', ');
  return { ...text, name, ...(detail && { detail }), ...(at.time_zone && { timeZone: at.time_zone }) };
}

function describe(sent: Location | undefined, known: Place | undefined, f: Formats): PlaceText | undefined {
  const code = known?.iata || sent?.iata || sent?.icao || sent?.unlocode;
  const name = known?.city || known?.name || sent?.name || code || sent?.gln || coordinates(sent);
  if (!name) return undefined;
  const detail = [known && known.name !== name ? known.name : undefined, known?.country && f.country(known.country)]
    .filter(Boolean)
    .join(', ');
  return {
    name,
    ...(code && code !== name && { code }),
    ...(detail && { detail }),
    ...(sent?.facility && { facility: sent.facility }),
    ...(known?.time_zone && { timeZone: known.time_zone }),
  };
}

const coordinates = (sent: Location | undefined): string | undefined =>
  sent?.latitude !== undefined && sent.longitude !== undefined
    ? `${sent.latitude.toFixed(3)}, ${sent.longitude.toFixed(3)}`
    : undefined;

export const legOf = (event: TraceEvent): Transport | undefined => event.transport ?? event.enrichment?.transport;

/** "LA2047": what a flight or voyage is called. */
export const legName = (leg: Transport): string => `${leg.carrier ?? ''}${leg.number ?? ''}`;
