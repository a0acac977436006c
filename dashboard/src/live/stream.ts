import type { Schema } from '../api/typed';
import type { History, Tick } from '../api/types';
import { append, merge, type Sample, sample } from './series';

/** How the live connection is doing. `paused` is the tab being hidden, `held` that somebody has stopped it to look. */
export type Connection = 'connecting' | 'live' | 'reconnecting' | 'paused' | 'held';

export type StageGauge = Schema<'StageGauge'>;
export type Job = Schema<'Job'>;

export interface LiveState {
  connection: Connection;
  latest: Tick | undefined;
  samples: readonly Sample[];
  /** How the stages do just now, by `pipeline.stage`. */
  stages: Readonly<Record<string, StageGauge>>;
  /** How many events a second left each stage lately, one value about a second. */
  trails: Readonly<Record<string, readonly number[]>>;
  /** How long ago the oldest event on its way had been received lately, in milliseconds, one value about a second. */
  ages: readonly number[];
  inFlight: number | undefined;
  latency: Schema<'Latency'> | undefined;
  /** Jobs that got on since the stream was opened, by id. */
  jobs: Readonly<Record<string, Job>>;
  /** How many times the stream has told of alerts. */
  alertNews: number;
  /** Identifies the configuration once it has become another one. */
  config: string | undefined;
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

/** What somebody wants to know of traces that change. */
export interface TraceWatch {
  /** Which traces, as the stream's parameters status, kind, exception, place, aggregateId and correlationPrefix. */
  filter: Readonly<Record<string, readonly string[]>>;
  /** A trace has changed: its state in brief, as JSON. */
  onTrace: (data: string) => void;
  /** More has changed than is told one by one: what is shown must be read anew. */
  onResync: () => void;
}

/** Without a tick for this long the data are stale. */
export const staleAfter = 5_000;
const trailStep = 900;
const trailLength = 60;
const checkEvery = 1_000;
const firstRetry = 1_000;
const lastRetry = 30_000;

const nothing: LiveState = {
  connection: 'connecting',
  latest: undefined,
  samples: [],
  stages: {},
  trails: {},
  ages: [],
  inFlight: undefined,
  latency: undefined,
  jobs: {},
  alertNews: 0,
  config: undefined,
  staleFor: undefined,
};

/**
 * What the dashboard is told as it happens, over one server-sent event stream a tab. It closes while the tab is hidden, since
 * browsers allow six HTTP/1.1 connections to a server, and comes back with the history of what it missed. It is an
 * external store: subscribe and getState are what useSyncExternalStore takes.
 */
export class LiveStream {
  #state: LiveState = nothing;
  readonly #listeners = new Set<() => void>();
  readonly #options: Required<StreamOptions>;
  #source: EventSource | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #check: ReturnType<typeof setInterval> | undefined;
  #started = false;
  #held = false;
  #watch: TraceWatch | undefined;
  #failures = 0;
  /** When the wait for the next tick began. */
  #waitingSince = 0;
  /** When this moment was last told of, by a tick or by the history that ends in it. */
  #lastTick: number | undefined;
  /** Of when the trails are, by the server's clock. */
  #trailed = 0;

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
    this.#started = true;
    document.addEventListener('visibilitychange', this.#reopen);
    this.#reopen();
    return () => {
      this.#started = false;
      document.removeEventListener('visibilitychange', this.#reopen);
      this.#close();
    };
  }

  /** Stops what is shown where it is, or lets it go on; what was missed comes with the history. */
  hold(held: boolean): void {
    if (this.#held === held) return;
    this.#held = held;
    this.#reopen();
  }

  /** Has the stream tell of traces as well. It is for one at a time: the page on show. The function returned ends it. */
  watchTraces(watch: TraceWatch): () => void {
    this.#watch = watch;
    this.#reopen();
    return () => {
      if (this.#watch !== watch) return;
      this.#watch = undefined;
      this.#reopen();
    };
  }

  readonly #reopen = (): void => {
    if (!this.#started) return;
    this.#close();
    if (document.visibilityState === 'hidden') {
      this.#set({ connection: 'paused', staleFor: undefined });
      return;
    }
    if (this.#held) {
      this.#set({ connection: 'held', staleFor: undefined });
      return;
    }
    this.#waitingSince = this.#options.now();
    this.#failures = 0;
    if (this.#state.connection !== 'live') this.#set({ connection: 'connecting' });
    this.#open();
    this.#check = setInterval(this.#onCheck, checkEvery);
  };

  #address(): string {
    const url = new URL(this.#options.url, document.baseURI);
    if (!this.#watch) return url.href;
    const kinds = url.searchParams.get('events');
    if (kinds) url.searchParams.set('events', `${kinds},trace`);
    for (const [name, values] of Object.entries(this.#watch.filter)) {
      for (const value of values) url.searchParams.append(name, value);
    }
    return url.href;
  }

  #open(): void {
    const source = this.#options.open(this.#address());
    this.#source = source;
    source.addEventListener('history', this.#onHistory);
    source.addEventListener('tick', this.#onTick);
    source.addEventListener('job', this.#onJob);
    source.addEventListener('config', this.#onConfig);
    source.addEventListener('alert', this.#onAlert);
    source.addEventListener('trace', (event: MessageEvent<string>) => this.#watch?.onTrace(event.data));
    source.addEventListener('resync', () => this.#watch?.onResync());
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
    this.#waitingSince = this.#options.now();
    if (history.points.length > 0) this.#lastTick = this.#waitingSince; // it goes up to this moment
    this.#set({ connection: 'live', samples: merge(this.#state.samples, history.points) });
  };

  readonly #onTick = (event: MessageEvent<string>): void => {
    const tick = read<Tick>(event.data);
    const next = tick && sample(tick);
    if (!next) return;
    this.#failures = 0;
    this.#lastTick = this.#waitingSince = this.#options.now();
    const stages = withGauges(this.#state.stages, tick.stages);
    this.#set({
      connection: 'live',
      latest: tick,
      samples: append(this.#state.samples, next),
      stages,
      ...this.#trail(stages, next.at),
      inFlight: tick.in_flight ?? this.#state.inFlight,
      latency: tick.latency ?? this.#state.latency,
      staleFor: undefined,
    });
  };

  /** The trails with the rates of this moment, unless the last are hardly older. */
  #trail(stages: LiveState['stages'], at: number): Partial<LiveState> {
    if (Math.abs(at - this.#trailed) < trailStep) return {};
    this.#trailed = at;
    const trails = Object.fromEntries(
      Object.entries(stages).map(([id, gauge]) => [
        id,
        [...(this.#state.trails[id] ?? []).slice(1 - trailLength), gauge.out_per_second],
      ]),
    );
    const oldest = oldestAge(stages);
    const { ages } = this.#state;
    return { trails, ages: oldest === undefined ? ages : [...ages.slice(1 - 2 * trailLength), oldest] };
  }

  readonly #onJob = (event: MessageEvent<string>): void => {
    const job = read<Job>(event.data);
    if (job?.id) this.#set({ jobs: { ...this.#state.jobs, [job.id]: job } });
  };

  /** What became of an alert is read where all of them are. */
  readonly #onAlert = (): void => this.#set({ alertNews: this.#state.alertNews + 1 });

  readonly #onConfig = (event: MessageEvent<string>): void => {
    const version = read<{ version?: string }>(event.data)?.version;
    if (version) this.#set({ config: version });
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

/** How long ago the oldest event that is on its way had been received, in milliseconds. */
export function oldestAge(stages: LiveState['stages']): number | undefined {
  const ages = Object.values(stages).flatMap((stage) => stage.age_ms ?? []);
  return ages.length > 0 ? Math.max(...ages) : undefined;
}

/** The gauges with those in their places that a tick told of: it leaves out what is as it was. */
function withGauges(known: LiveState['stages'], told: Tick['stages']): LiveState['stages'] {
  const changed = Object.entries(told ?? {});
  if (changed.length === 0) return known;
  const stages = { ...known };
  for (const [name, gauge] of changed) stages[name.replace('/', '.')] = gauge;
  return stages;
}

/** A message of the stream; undefined when it is not JSON: one bad message must not end the others. */
function read<T>(data: string): T | undefined {
  try {
    return JSON.parse(data) as T;
  } catch {
    return undefined;
  }
}
