import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeEventSource, setVisibility, tick } from '../test/event-source';
import { LiveStream } from './stream';

describe('LiveStream', () => {
  let stop: () => void = () => {};
  const onRefused = vi.fn();

  const start = () => {
    const stream = new LiveStream({ url: '/api/v1/stream', open: FakeEventSource.open, onRefused, jitter: () => 0.5 });
    stop = stream.start();
    return stream;
  };

  beforeEach(() => {
    vi.useFakeTimers();
    FakeEventSource.opened = [];
    onRefused.mockReset();
    setVisibility('visible');
  });

  afterEach(() => {
    stop();
    vi.useRealTimers();
    setVisibility('visible');
  });

  it('starts from the history and follows the ticks', () => {
    const stream = start();
    expect(stream.getState().connection).toBe('connecting');
    FakeEventSource.last.send('history', { points: [tick(0, 10), tick(1, 20)] });
    FakeEventSource.last.send('tick', tick(2, 35));
    const state = stream.getState();
    expect(state.connection).toBe('live');
    expect(state.samples.map((s) => s.accepted)).toEqual([10, 20, 35]);
    expect(state.latest?.accepted).toBe(35);
  });

  it('tells its listeners, and only of changes', () => {
    const stream = start();
    const listener = vi.fn();
    const unsubscribe = stream.subscribe(listener);
    FakeEventSource.last.send('tick', tick(1, 1));
    expect(listener).toHaveBeenCalledTimes(1);
    FakeEventSource.last.lose();
    FakeEventSource.last.lose();
    expect(listener).toHaveBeenCalledTimes(2);
    unsubscribe();
    FakeEventSource.last.send('tick', tick(2, 2));
    expect(listener).toHaveBeenCalledTimes(2);
  });

  it('survives a message that is not JSON', () => {
    const stream = start();
    FakeEventSource.last.send('tick', '{"at":');
    FakeEventSource.last.send('history', '{}');
    FakeEventSource.last.send('tick', tick(1, 7));
    expect(stream.getState().latest?.accepted).toBe(7);
  });

  it('keeps what it has while the browser reconnects', () => {
    const stream = start();
    FakeEventSource.last.send('tick', tick(1, 7));
    FakeEventSource.last.lose();
    expect(stream.getState()).toMatchObject({ connection: 'reconnecting', latest: { accepted: 7 } });
    expect(FakeEventSource.opened).toHaveLength(1);
    expect(onRefused).not.toHaveBeenCalled();
    FakeEventSource.last.send('tick', tick(2, 9));
    expect(stream.getState().connection).toBe('live');
  });

  it('opens anew, less and less often, when the server refuses', () => {
    start();
    for (const wait of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      const before = FakeEventSource.opened.length;
      FakeEventSource.last.refuse();
      vi.advanceTimersByTime(wait - 1);
      expect(FakeEventSource.opened).toHaveLength(before);
      vi.advanceTimersByTime(1);
      expect(FakeEventSource.opened).toHaveLength(before + 1);
    }
    expect(onRefused).toHaveBeenCalledTimes(7);
    FakeEventSource.last.send('tick', tick(1, 1));
    const before = FakeEventSource.opened.length;
    FakeEventSource.last.refuse();
    vi.advanceTimersByTime(1_000);
    expect(FakeEventSource.opened).toHaveLength(before + 1);
  });

  it('says how old the data are once no tick came for five seconds', () => {
    const stream = start();
    FakeEventSource.last.send('tick', tick(1, 7));
    vi.advanceTimersByTime(5_000);
    expect(stream.getState().staleFor).toBeUndefined();
    vi.advanceTimersByTime(7_000);
    expect(stream.getState().staleFor).toBe(12_000);
    FakeEventSource.last.send('tick', tick(2, 9));
    expect(stream.getState().staleFor).toBeUndefined();
  });

  it('counts from the history when no tick came after it', () => {
    const stream = start();
    vi.advanceTimersByTime(3_000);
    FakeEventSource.last.send('history', { points: [tick(0, 10), tick(1, 20)] });
    vi.advanceTimersByTime(5_000);
    expect(stream.getState().staleFor).toBeUndefined();
    vi.advanceTimersByTime(2_000);
    expect(stream.getState().staleFor).toBe(7_000);
  });

  it('is stale too when nothing ever came', () => {
    const stream = start();
    vi.advanceTimersByTime(7_000);
    expect(stream.getState()).toMatchObject({ connection: 'connecting', staleFor: 7_000 });
  });

  it('lets go of its connection while the tab is hidden', () => {
    const stream = start();
    FakeEventSource.last.send('tick', tick(1, 7));
    setVisibility('hidden');
    expect(FakeEventSource.last.closed).toBe(true);
    vi.advanceTimersByTime(600_000);
    expect(FakeEventSource.opened).toHaveLength(1);
    expect(stream.getState()).toMatchObject({ connection: 'paused', staleFor: undefined });

    setVisibility('visible');
    expect(FakeEventSource.opened).toHaveLength(2);
    vi.advanceTimersByTime(1_000);
    expect(stream.getState().staleFor).toBeUndefined(); // it has only just come back
    FakeEventSource.last.send('history', { points: [tick(1, 7), tick(2, 9), tick(3, 12)] });
    expect(stream.getState().samples).toHaveLength(3);
  });

  it('does not come back after a refusal while hidden, nor after it was stopped', () => {
    start();
    FakeEventSource.last.refuse();
    setVisibility('hidden');
    vi.advanceTimersByTime(60_000);
    expect(FakeEventSource.opened).toHaveLength(1);
    stop();
    setVisibility('visible');
    vi.advanceTimersByTime(60_000);
    expect(FakeEventSource.opened).toHaveLength(1);
  });

  it('does not open at all in a tab that starts hidden', () => {
    setVisibility('hidden');
    const stream = start();
    expect(FakeEventSource.opened).toHaveLength(0);
    expect(stream.getState().connection).toBe('paused');
  });
});
