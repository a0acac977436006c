import { createContext, type ReactNode, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { type LiveState, LiveStream, type StreamOptions, type TraceWatch } from './stream';

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

/** The stream itself, for what follows it past React. */
export function useStream(): LiveStream {
  const stream = useContext(Context);
  if (!stream) throw new Error('a live value needs a LiveProvider above it');
  return stream;
}

/** A part of the live state; the component is drawn again only when that part changes. */
export function useLive<T>(select: (state: LiveState) => T): T {
  const stream = useStream();
  return useSyncExternalStore(stream.subscribe, () => select(stream.getState()));
}

/** Whether what is shown is stopped, and what stops it or lets it go on. */
export function useHold(): [held: boolean, hold: (held: boolean) => void] {
  const stream = useStream();
  const held = useLive((s) => s.connection === 'held');
  return [held, (next) => stream.hold(next)];
}

/** How often to ask for what the stream does not tell, in milliseconds; not at all while what is shown is stopped. */
export function useInterval(ms: number): number | false {
  const stopped = useLive((s) => s.connection === 'held' || s.connection === 'paused');
  return stopped ? false : ms;
}

/** Has the stream tell of traces that change while the component is there. Undefined watches none. */
export function useTraceWatch(watch: TraceWatch | undefined): void {
  const stream = useStream();
  const latest = useRef(watch);
  latest.current = watch;
  const filter = watch && JSON.stringify(watch.filter);
  useEffect(() => {
    if (filter === undefined) return;
    return stream.watchTraces({
      filter: JSON.parse(filter) as TraceWatch['filter'],
      onTrace: (data) => latest.current?.onTrace(data),
      onResync: () => latest.current?.onResync(),
    });
  }, [stream, filter]);
}
