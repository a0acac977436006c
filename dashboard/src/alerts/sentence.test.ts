import { describe, expect, it } from 'vitest';
import { en } from '../i18n/en';
import { es } from '../i18n/es';
import { formats } from '../i18n/format';
import { alert } from '../test/alerts';
import { kindName, sentence } from './sentence';

const kinds = Object.keys(es.alerts.kinds);

describe('the sentence of an alert', () => {
  it.each(kinds)('of the kind %s is in both languages, and not the server’s', (kind) => {
    const one = alert(kind, { subject: { pipeline: 'p', stage: 's', topic: 't', source: 'LA', reason: 'schema' } });
    const [spanish, english] = [sentence(one, es, formats('es', es)), sentence(one, en, formats('en', en))];
    expect(spanish).not.toBe(one.message);
    expect(english).not.toBe(one.message);
    expect(spanish).not.toBe(english);
    expect(kindName(kind, en)).not.toBe(kind);
  });

  it('of a kind that is not known is the server’s', () => {
    const later = alert('of-a-later-version');
    expect(sentence(later, es, formats('es', es))).toBe(later.message);
    expect(kindName('of-a-later-version', es)).toBe('of-a-later-version');
  });

  it('counts', () => {
    const one = alert('dead-letters-open', { value: 1, unit: 'letters' });
    expect(sentence(one, es, formats('es', es))).toBe('1 evento sin procesar espera una decisión');
    const lost = alert('balance-broken', {
      value: 1_500,
      unit: 'events',
      subject: { pipeline: 'p', reason: 'in_flight' },
    });
    expect(sentence(lost, en, formats('en', en))).toBe('p: 1,500 events came and did not end, and nothing waits');
  });
});
