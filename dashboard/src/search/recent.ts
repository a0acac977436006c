import { useCallback } from 'react';
import { Remembered, useRemembered } from '../ui/remembered';

/** A trace opened in this browser, and enough of it to recognise it by. */
export interface Recent {
  id: string;
  kind?: string;
  status?: string;
  /** Milliseconds since the epoch. */
  openedAt: number;
}

const isRecent = (value: unknown): value is Recent =>
  typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string';

const remembered = new Remembered<Recent>('rastro.recent.', 8, (value) => (isRecent(value) ? value : undefined));

/** Forgets what anyone opened in this browser: the next to sign in may be someone else. */
export const forgetRecents = (): void => remembered.forget();

/** The traces that whoever is signed in has opened in this browser, the last one first. */
export function useRecents(owner: string) {
  const recents = useRemembered(remembered, owner);
  const add = useCallback(
    (recent: Recent) => remembered.change(owner, (list) => [recent, ...list.filter((r) => r.id !== recent.id)]),
    [owner],
  );
  const clear = useCallback(() => remembered.change(owner, () => []), [owner]);
  return { recents, add, clear };
}
