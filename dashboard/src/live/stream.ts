import type { History, Tick } from '../api/types';
import { append, merge, type Sample, sample } from './series';

/** How the live connection is doing. `paused` is the tab being hidden. */
export type Connection = 'connecting' | 'live' | 'reconnecting' | 'paused';

export interface LiveState {
  connection: Connection;
  latest: Tick | undefined;
  samples: readonly Sample[];
  /** Milliseconds since the last tick, by this browser's clock, once it is too long ago; undefined while data are fresh. */
  staleFor: number | undefined;
}

export interface StreamOptions {
  url: string;
  /** Called when the server refuses the stream (rather than being gone): the session may have ended. */
  onRefused?: () => void;
  /** Defaults to the browser's EventSource. */
  open?: (url: string) => EventSource;
  now?: () => number;
  /** A number in [0, 1) that keeps many tabs from coming back at once. */
  jitter?: () => number;
}

/** Without a tick for this long the data are stale. */
export const staleAfter = 5_000;
const checkEvery = 1_000;
const firstRetry = 1_000;
const lastRetry = 30_000;

/**
 * The live counts of the dashboard, over one server-sent event stream a tab. It closes while the tab is hidden, since
 * browsers allow six HTTP/1.1 connections to a server, and comes back with the history of what it missed. It is an
 * external store: subscribe and getState are what useSyncExternalStore takes.
 */
export class LiveStream {
  #state: LiveState = { connection: 'connecting', latest: undefined, samples: [], staleFor: undefined };
  readonly #listeners = new Set<() => void>();
  readonly #options: Required<StreamOptions>;
  #source: EventSource | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #check: ReturnType<typeof setInterval> | undefined;
  #failures = 0;
  /** When the wait for the next tick began. */
  #waitingSince = 0;
  #lastTick: number | undefined;

  constructor(options: StreamOptions) {
    this.#options = {
      onRefused: () => {},
      open: (url) => new EventSource(url),
      now: () => Date.now(),
      jitter: Math.random,
      ...options,
    };
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly getState = (): LiveState => this.#state;

  /** Opens the stream, now or when the tab is shown. The function returned closes it for good. */
  start(): () => void {
    document.addEventListener('visibilitychange', this.#onVisibility);
    this.#onVisibility();
    return () => {
      document.removeEventListener('visibilitychange', this.#onVisibility);
      this.#close();
    };
  }

  readonly #onVisibility = (): void => {
    this.#close();
    if (document.visibilityState === 'hidden') {
      this.#set({ connection: 'paused', staleFor: undefined });
      return;
    }
    this.#waitingSince = this.#options.now();
    this.#failures = 0;
    this.#set({ connection: 'connecting' });
    this.#open();
    this.#check = setInterval(this.#onCheck, checkEvery);
  };

  #open(): void {
    const source = this.#options.open(this.#options.url);
    this.#source = source;
    source.addEventListener('history', this.#onHistory);
    source.addEventListener('tick', this.#onTick);
    source.addEventListener('error', this.#onError);
  }

  #close(): void {
    this.#source?.close();
    this.#source = undefined;
    clearTimeout(this.#retry);
    clearInterval(this.#check);
  }

  readonly #onHistory = (event: MessageEvent<string>): void => {
    const history = read<History>(event.data);
    if (!history?.points) return;
    this.#failures = 0;
    this.#set({ connection: 'live', samples: merge(this.#state.samples, history.points) });
  };

  readonly #onTick = (event: MessageEvent<string>): void => {
    const tick = read<Tick>(event.data);
    const next = tick && sample(tick);
    if (!next) return;
    this.#failures = 0;
    this.#lastTick = this.#waitingSince = this.#options.now();
    this.#set({
      connection: 'live',
      latest: tick,
      samples: append(this.#state.samples, next),
      staleFor: undefined,
    });
  };

  readonly #onError = (): void => {
    this.#set({ connection: 'reconnecting' });
    if (this.#source?.readyState !== 2 /* CLOSED */) return; // the browser tries again by itself
    // An answer other than 200 ends an EventSource for good.
    this.#source.close();
    this.#options.onRefused();
    const wait = Math.min(firstRetry * 2 ** this.#failures, lastRetry) * (0.75 + this.#options.jitter() / 2);
    this.#failures++;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#open(), wait);
  };

  readonly #onCheck = (): void => {
    const now = this.#options.now();
    if (now - this.#waitingSince <= staleAfter) return;
    this.#set({ staleFor: now - (this.#lastTick ?? this.#waitingSince) });
  };

  #set(change: Partial<LiveState>): void {
    const keys = Object.keys(change) as (keyof LiveState)[];
    if (keys.every((key) => this.#state[key] === change[key])) return;
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

/** A message of the stream; undefined when it is not JSON: one bad message must not end the others. */
function read<T>(data: string): T | undefined {
  try {
    return JSON.parse(data) as T;
  } catch {
    return undefined;
  }
}
