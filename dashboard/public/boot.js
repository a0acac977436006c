// Sets language and colour scheme before the first paint, so that neither flashes. It is a file of its own because the
// content security policy allows no inline script. The keys and rules are those of src/i18n/language.ts and src/app/theme.ts.
(() => {
  const root = document.documentElement;
  const read = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage may be forbidden; the defaults serve
    }
  };
  const languages = ['es', 'en'];
  const wanted = [read('rastro.language'), ...(navigator.languages || [])].map((l) => String(l || '').slice(0, 2));
  root.lang = wanted.find((l) => languages.includes(l)) || 'es';
  const stored = read('rastro.color-scheme');
  const dark = stored === 'dark' || (stored !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  root.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
})();
