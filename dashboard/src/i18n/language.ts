export type Language = 'es' | 'en';

export const languages: readonly Language[] = ['es', 'en'];

/** Where the chosen language is kept; public/boot.js reads it too. */
export const languageKey = 'rastro.language';

const isLanguage = (value: string | undefined): value is Language => languages.some((l) => l === value);

/** The language of the page: public/boot.js has put the chosen or the browser's into it before the first paint. */
export function initialLanguage(): Language {
  const lang = document.documentElement.lang.slice(0, 2);
  return isLanguage(lang) ? lang : 'es';
}

export function keepLanguage(language: Language): void {
  document.documentElement.lang = language;
  try {
    localStorage.setItem(languageKey, language);
  } catch {
    // Storage may be forbidden; the language then lasts as long as the page.
  }
}
