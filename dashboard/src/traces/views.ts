import { useCallback } from 'react';
import { Remembered, useRemembered } from '../ui/remembered';
import type { TracesSearch } from './filters';
import { readSearch } from './filters';

/** A search that somebody gave a name, in this browser. */
export interface SavedView {
  name: string;
  search: TracesSearch;
}

const isView = (value: unknown): value is { name: string; search: Record<string, unknown> } =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  typeof value.name === 'string' &&
  'search' in value &&
  typeof value.search === 'object' &&
  value.search !== null;

const remembered = new Remembered<SavedView>('rastro.views.', 30, (value) =>
  isView(value) ? { name: value.name, search: readSearch(value.search) } : undefined,
);

/** The searches that whoever is signed in has saved in this browser, the last one first. */
export function useSavedViews(owner: string) {
  const views = useRemembered(remembered, owner);
  const save = useCallback(
    (view: SavedView) => remembered.change(owner, (list) => [view, ...list.filter((v) => v.name !== view.name)]),
    [owner],
  );
  const forget = useCallback(
    (name: string) => remembered.change(owner, (list) => list.filter((v) => v.name !== name)),
    [owner],
  );
  return { views, save, forget };
}
