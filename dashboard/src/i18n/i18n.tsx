import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from 'react';
import { en } from './en';
import { type Catalog, es } from './es';
import { type Formats, formats } from './format';
import { initialLanguage, keepLanguage, type Language } from './language';
import { initialTimeZone, keepTimeZone } from './timezone';

export const catalogs: Record<Language, Catalog> = { es, en };

export interface I18n {
  language: Language;
  setLanguage: (language: Language) => void;
  /** The zone in which instants are told: an IANA name, or undefined for this browser's. */
  timeZone: string | undefined;
  setTimeZone: (timeZone: string | undefined) => void;
  /** The texts. */
  t: Catalog;
  /** Numbers and times. */
  f: Formats;
}

const Context = createContext<I18n | undefined>(undefined);

export function I18nProvider({ children, language: given }: { children: ReactNode; language?: Language }) {
  const [language, set] = useState<Language>(() => given ?? initialLanguage());
  const setLanguage = useCallback((next: Language) => {
    keepLanguage(next);
    set(next);
  }, []);
  const [timeZone, putTimeZone] = useState(initialTimeZone);
  const setTimeZone = useCallback((next: string | undefined) => {
    keepTimeZone(next);
    putTimeZone(next);
  }, []);
  const value = useMemo<I18n>(() => {
    const t = catalogs[language];
    return { language, setLanguage, timeZone, setTimeZone, t, f: formats(language, t, timeZone) };
  }, [language, setLanguage, timeZone, setTimeZone]);
  return <Context value={value}>{children}</Context>;
}

export function useI18n(): I18n {
  const value = useContext(Context);
  if (!value) throw new Error('useI18n needs an I18nProvider above it');
  return value;
}

/** A text for a code of the wire, or undefined when the catalog does not know the code. */
export const lookup = <T extends Readonly<Record<string, string>>>(texts: T, code: string): string | undefined =>
  Object.hasOwn(texts, code) ? texts[code] : undefined;
