import type { Words } from '../i18n/words';
import type { paletteWords as spanish } from './words.es';

export const paletteWords: Words<typeof spanish> = {
  palette: {
    title: 'Go to or do',
    placeholder: 'Page, action, organisation or number…',
    none: 'Nothing is called that. Enter a page, an action or a tracking number.',
    trace: (id) => `Open trace ${id}`,
    groups: { pages: 'Pages', actions: 'Actions' },
  },
};
