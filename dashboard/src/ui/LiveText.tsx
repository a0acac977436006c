import { useLayoutEffect, useRef } from 'react';
import { useStream } from '../live/live';
import type { LiveState } from '../live/stream';

interface LiveTextProps {
  /** What it says, of the live state. */
  text: (state: LiveState) => string;
  className?: string;
  testId?: string;
}

/**
 * A text that follows the live state. It is written past React: hundreds of figures may change twenty times a second, and nothing
 * else is to be drawn again for them.
 */
export function LiveText({ text, className, testId }: LiveTextProps) {
  const stream = useStream();
  const host = useRef<HTMLSpanElement>(null);
  const latest = useRef(text);
  latest.current = text;
  // After each drawing too: what is said may depend on more than the live state.
  useLayoutEffect(() => {
    write(host.current, text(stream.getState()));
  });
  useLayoutEffect(() => stream.subscribe(() => write(host.current, latest.current(stream.getState()))), [stream]);
  return <span ref={host} className={className} data-testid={testId} />;
}

function write(element: HTMLElement | null, text: string): void {
  const written = element?.firstChild;
  if (!written) element?.append(text);
  else if (written.nodeValue !== text) written.nodeValue = text;
}
