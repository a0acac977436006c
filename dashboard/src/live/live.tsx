import { createContext, type ReactNode, useContext, useEffect, useMemo, useSyncExternalStore } from 'react';
import { type LiveState, LiveStream, type StreamOptions } from './stream';

const Context = createContext<LiveStream | undefined>(undefined);

export function LiveProvider({ children, ...options }: StreamOptions & { children: ReactNode }) {
  const { url, onRefused, open } = options;
  const stream = useMemo(
    () => new LiveStream({ url, ...(onRefused && { onRefused }), ...(open && { open }) }),
    [url, onRefused, open],
  );
  useEffect(() => stream.start(), [stream]);
  return <Context value={stream}>{children}</Context>;
}

/** A part of the live state; the component is drawn again only when that part changes. */
export function useLive<T>(select: (state: LiveState) => T): T {
  const stream = useContext(Context);
  if (!stream) throw new Error('useLive needs a LiveProvider above it');
  return useSyncExternalStore(stream.subscribe, () => select(stream.getState()));
}
