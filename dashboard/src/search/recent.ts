import { useCallback, useSyncExternalStore } from 'react';

/** A trace opened in this browser, and enough of it to recognise it by. */
export interface Recent {
  id: string;
  kind?: string;
  status?: string;
  /** Milliseconds since the epoch. */
  openedAt: number;
}

const keep = 8;
const prefix = 'rastro.recent.';
const listeners = new Set<() => void>();
const nothing: readonly Recent[] = [];
// useSyncExternalStore wants the same array for the same content.
let cache: { key: string; text: string | null; list: readonly Recent[] } | undefined;

function read(key: string): readonly Recent[] {
  let text: string | null = null;
  try {
    text = localStorage.getItem(key);
  } catch {
    return nothing;
  }
  if (cache?.key === key && cache.text === text) return cache.list;
  cache = { key, text, list: parse(text) };
  return cache.list;
}

function parse(text: string | null): readonly Recent[] {
  if (!text) return nothing;
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list.filter(isRecent).slice(0, keep) : nothing;
  } catch {
    return nothing;
  }
}

const isRecent = (value: unknown): value is Recent =>
  typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string';

function write(key: string, list: readonly Recent[]): void {
  try {
    if (list.length === 0) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(list));
  } catch {
    // Storage is full or forbidden: recents are a convenience.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener('storage', listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener('storage', listener);
  };
}

/** Forgets what anyone opened in this browser: the next to sign in may be someone else. */
export function forgetRecents(): void {
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith(prefix)) localStorage.removeItem(key);
  } catch {
    // nothing was stored then
  }
  for (const listener of listeners) listener();
}

export function useRecents(owner: string) {
  const key = prefix + owner;
  const recents = useSyncExternalStore(subscribe, () => read(key));
  const add = useCallback(
    (recent: Recent) => {
      const others = read(key).filter((r) => r.id !== recent.id);
      write(key, [recent, ...others].slice(0, keep));
    },
    [key],
  );
  const clear = useCallback(() => write(key, []), [key]);
  return { recents, add, clear };
}
