import { parseTrace } from '../api/client';
import type { TraceEvent } from '../api/types';

/** A code that no table translates, as a carrier sends it. */
export interface UnmappedCode {
  code: string;
  /** How many of the events that were looked at have it. */
  count: number;
  /** Those received last, the last first. */
  samples: TraceEvent[];
}

/** How many events are looked at for codes. */
export const lookedAt = 200;
const samplesEach = 3;

/** Groups events without a milestone by their code, the most frequent first. `text` is a page of events, the latest first. */
export function unmappedCodes(text: string): UnmappedCode[] {
  // A page of events is told like those of a trace: payloads stay the text they are.
  const { events } = parseTrace(text.replace(/^\s*\{\s*"items"\s*:/, '{"events":'));
  const codes = new Map<string, UnmappedCode>();
  for (const event of events) {
    const known = codes.get(event.event_type) ?? { code: event.event_type, count: 0, samples: [] };
    known.count++;
    if (known.samples.length < samplesEach) known.samples.push(event);
    codes.set(event.event_type, known);
  }
  return [...codes.values()].sort((a, b) => b.count - a.count || a.code.localeCompare(b.code));
}
