import { useI18n } from '../i18n/i18n';

/** What a filter is set to, in a few words: its first value, and how many more there are. */
export function useValuesText(values: readonly string[]): string | undefined {
  const { t } = useI18n();
  const [first, ...more] = values;
  if (first === undefined) return undefined;
  return more.length > 0 ? t.finder.and(first, more.length) : first;
}
