/** The texts of another language than the one they were written in first: the same keys, other words. */
export type Words<T> = T extends string
  ? string
  : T extends (...args: infer A) => string
    ? (...args: A) => string
    : { readonly [K in keyof T]: Words<T[K]> };

export const plural = (n: number, one: string, many: string): string => (n === 1 ? one : many);
