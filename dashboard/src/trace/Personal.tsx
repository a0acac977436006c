import { Button, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { EyeOff, ShieldCheck } from 'lucide-react';
import { type FormEvent, useId, useState } from 'react';
import { ApiError } from '../api/client';
import { elements, members, stringValue } from '../api/lossless';
import { answer } from '../api/typed';
import { useApi, useRole } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { JsonView } from './JsonView';
import classes from './personal.module.css';

/** The least that counts as a reason; the API wants as much. */
const reasonLength = 3;

/** What an event says about a person: hidden, and shown only to whoever may see it and says why. */
export function Personal({ uid }: { uid: string }) {
  const { t } = useI18n();
  const api = useApi();
  const may = useRole('personal:read');
  const hintId = useId();
  const [reason, setReason] = useState('');
  const show = useMutation({
    mutationFn: () =>
      answer(
        api.GET('/api/v1/events/{uid}/personal', {
          params: { path: { uid }, query: { reason: reason.trim() } },
          parseAs: 'text',
        }),
      ),
    gcTime: 0, // it is to be forgotten when the page is left
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (reason.trim().length >= reasonLength) show.mutate();
  };
  return (
    <section className={classes.personal} aria-label={t.journey.personal.title}>
      <p className={classes.title}>
        <EyeOff size={15} aria-hidden />
        {t.journey.personal.title}
      </p>
      {show.data !== undefined ? (
        <Shown text={show.data} />
      ) : may ? (
        <form onSubmit={submit} className={classes.form}>
          <TextInput
            size="xs"
            className={classes.reason}
            label={t.journey.personal.reason}
            aria-describedby={hintId}
            value={reason}
            maxLength={500}
            required
            minLength={reasonLength}
            onChange={(change) => setReason(change.currentTarget.value)}
          />
          <Button type="submit" size="xs" variant="default" loading={show.isPending}>
            {t.journey.personal.show}
          </Button>
          <p id={hintId} className={classes.hint}>
            {t.journey.personal.audited}
          </p>
          {show.error && (
            <p role="alert" className={classes.error}>
              {show.error instanceof ApiError && show.error.status === 410
                ? t.journey.personal.forgotten
                : show.error.message}
            </p>
          )}
        </form>
      ) : (
        <p className={classes.hint}>{t.journey.personal.forbidden}</p>
      )}
    </section>
  );
}

function Shown({ text }: { text: string }) {
  const { t } = useI18n();
  const all = members(text);
  const subject = stringValue(all?.get('subject') ?? '');
  const fields = (elements(all?.get('fields') ?? '[]') ?? []).map((field) => members(field));
  const data = all?.get('data');
  return (
    <div data-testid="personal">
      <p className={classes.hint}>
        <ShieldCheck size={14} aria-hidden /> {t.journey.personal.noted}
      </p>
      <dl className={classes.fields}>
        {subject && (
          <div>
            <dt>{t.journey.personal.subject}</dt>
            <dd className="mono">{subject}</dd>
          </div>
        )}
        {fields.map((field) => {
          const name = stringValue(field?.get('field') ?? '""') ?? '';
          const value = field?.get('value') ?? '';
          return (
            <div key={name}>
              <dt className="mono">{name}</dt>
              <dd className="mono">{stringValue(value) ?? value}</dd>
            </div>
          );
        })}
      </dl>
      {data && <JsonView text={data} label={t.journey.personal.title} />}
    </div>
  );
}
