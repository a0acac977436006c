import { useCallback, useSyncExternalStore } from 'react';
import type { TracesSearch } from './filters';
import { readSearch } from './filters';

/** A search that somebody gave a name, in this browser. */
export interface SavedView {
  name: string;
  search: TracesSearch;
}

const prefix = 'rastro.views.';
const keep = 30;
const listeners = new Set<() => void>();
const nothing: readonly SavedView[] = [];
let cache: { key: string; text: string | null; list: readonly SavedView[] } | undefined;

function read(key: string): readonly SavedView[] {
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

function parse(text: string | null): readonly SavedView[] {
  try {
    const list: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(list)
      ? list.filter(isView).map((v) => ({ name: v.name, search: readSearch(v.search) }))
      : nothing;
  } catch {
    return nothing;
  }
}

const isView = (value: unknown): value is { name: string; search: Record<string, unknown> } =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  typeof value.name === 'string' &&
  'search' in value &&
  typeof value.search === 'object' &&
  value.search !== null;

function write(key: string, list: readonly SavedView[]): void {
  try {
    localStorage.setItem(key, JSON.stringify(list.slice(0, keep)));
  } catch {
    // Storage is full or forbidden: views are a convenience, and their address can be kept as a bookmark.
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

/** The searches that whoever is signed in has saved in this browser. */
export function useSavedViews(owner: string) {
  const key = prefix + owner;
  const views = useSyncExternalStore(subscribe, () => read(key));
  const save = useCallback(
    (view: SavedView) => write(key, [...read(key).filter((other) => other.name !== view.name), view]),
    [key],
  );
  const forget = useCallback(
    (name: string) =>
      write(
        key,
        read(key).filter((view) => view.name !== name),
      ),
    [key],
  );
  return { views, save, forget };
}
