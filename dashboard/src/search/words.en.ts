import type { Words } from '../i18n/words';
import type { searchWords as spanish } from './words.es';

export const searchWords: Words<typeof spanish> = {
  search: {
    label: 'Find a trace',
    placeholder: 'Bag tag, air waybill, parcel…',
    placeholderLong: 'Bag tag, air waybill or parcel number',
    submit: 'Find',
    hint: 'Finds by the identifier of the journey or of the piece.',
    recent: 'Recent',
    recentEmpty: 'Traces you open in this browser will appear here.',
    clearRecent: 'Clear recent',
    looksLike: {
      airWaybill: 'Looks like an air waybill; its check digit is right.',
      airWaybillBadDigit: 'Looks like an air waybill, but its check digit does not match: check the number.',
      bagTag: 'Looks like a bag tag.',
      postal: 'Looks like a postal item; its check digit is right.',
      postalBadDigit: 'Looks like a postal item, but its check digit does not match: check the number.',
      container: 'Looks like a container; its check digit is right.',
      containerBadDigit: 'Looks like a container, but its check digit does not match: check the number.',
      uld: 'Looks like a unit load device (ULD).',
      other: 'It will be looked for exactly as written.',
    },
  },
};
