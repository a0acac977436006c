import { useSyncExternalStore } from 'react';

/**
 * Lists that this browser remembers, one for each owner. They are a convenience: where storage is full or forbidden they are empty, and
 * whatever else stands there is passed over.
 */
export class Remembered<T> {
  readonly #prefix: string;
  readonly #keep: number;
  readonly #read: (value: unknown) => T | undefined;
  readonly #listeners = new Set<() => void>();
  // useSyncExternalStore wants the same array for the same content.
  #cache: { key: string; text: string | null; list: readonly T[] } | undefined;

  /** Of each list the first `keep` are kept; `read` returns what one item of it says, or undefined when it is none. */
  constructor(prefix: string, keep: number, read: (value: unknown) => T | undefined) {
    this.#prefix = prefix;
    this.#keep = keep;
    this.#read = read;
  }

  list(owner: string): readonly T[] {
    const key = this.#prefix + owner;
    let text: string | null = null;
    try {
      text = localStorage.getItem(key);
    } catch {
      // nothing was stored then
    }
    if (this.#cache?.key !== key || this.#cache.text !== text) this.#cache = { key, text, list: this.#parse(text) };
    return this.#cache.list;
  }

  change(owner: string, change: (list: readonly T[]) => readonly T[]): void {
    const key = this.#prefix + owner;
    const list = change(this.list(owner)).slice(0, this.#keep);
    try {
      if (list.length === 0) localStorage.removeItem(key);
      else localStorage.setItem(key, JSON.stringify(list));
    } catch {
      // it is not remembered then
    }
    this.#tell();
  }

  /** Forgets the lists of every owner. */
  forget(): void {
    try {
      for (const key of Object.keys(localStorage)) if (key.startsWith(this.#prefix)) localStorage.removeItem(key);
    } catch {
      // nothing was stored then
    }
    this.#tell();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    window.addEventListener('storage', listener);
    return () => {
      this.#listeners.delete(listener);
      window.removeEventListener('storage', listener);
    };
  };

  #parse(text: string | null): readonly T[] {
    try {
      const list: unknown = JSON.parse(text ?? '[]');
      if (!Array.isArray(list)) return [];
      return list.flatMap((value) => this.#read(value) ?? []).slice(0, this.#keep);
    } catch {
      return [];
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** The list of an owner, kept up to date. */
export function useRemembered<T>(remembered: Remembered<T>, owner: string): readonly T[] {
  return useSyncExternalStore(remembered.subscribe, () => remembered.list(owner));
}
