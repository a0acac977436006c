/** Stands in for the browser's EventSource, which jsdom lacks: the test plays the server. */
export class FakeEventSource extends EventTarget {
  static opened: FakeEventSource[] = [];
  readyState = 0;
  closed = false;
  readonly url: string;

  constructor(url: string) {
    super();
    this.url = url;
    FakeEventSource.opened.push(this);
  }

  static open = (url: string): EventSource => new FakeEventSource(url) as unknown as EventSource;

  static get last(): FakeEventSource {
    const last = FakeEventSource.opened.at(-1);
    if (!last) throw new Error('no stream was opened');
    return last;
  }

  send(type: string, data: unknown): void {
    this.readyState = 1;
    this.dispatchEvent(new MessageEvent(type, { data: typeof data === 'string' ? data : JSON.stringify(data) }));
  }

  /** The connection is lost; the browser tries again by itself. */
  lose(): void {
    this.readyState = 0;
    this.dispatchEvent(new Event('error'));
  }

  /** The server answers with an error: the stream is over. */
  refuse(): void {
    this.readyState = 2;
    this.dispatchEvent(new Event('error'));
  }

  close(): void {
    this.readyState = 2;
    this.closed = true;
  }
}

export function setVisibility(state: 'visible' | 'hidden'): void {
  Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}

/** A tick of the stream, `second` seconds after a fixed start. */
export const tick = (second: number, accepted: number, extra: object = {}) => ({
  at: new Date(Date.UTC(2025, 10, 20, 12, 0, second)).toISOString(),
  accepted,
  stored: accepted,
  duplicates: 0,
  dropped: 0,
  dead_letters: 0,
  accepted_per_second: 0,
  stored_per_second: 0,
  ...extra,
});
