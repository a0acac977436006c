import { Button, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { Info, Search, TriangleAlert } from 'lucide-react';
import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { answer, type Schema } from '../api/typed';
import { useApi } from '../app/scope';
import { searchAttribute } from '../frame/keys';
import { lookup, useI18n } from '../i18n/i18n';
import { cleaned, looksLike } from '../search/identify';
import { shortestPrefix } from './filters';
import classes from './list.module.css';

type Answer = Schema<'SearchAnswer'>;

interface IdentifierSearchProps {
  /** What the list is narrowed by. */
  value: string | undefined;
  onChange: (value: string | undefined) => void;
  onFlight: (flight: string) => void;
}

/** How long typing rests before the list is narrowed. */
const settle = 350;

/** Takes any identifier: while it is typed the list is narrowed by it, and Enter goes to what has exactly it. */
export function IdentifierSearch({ value, onChange, onFlight }: IdentifierSearchProps) {
  const { t } = useI18n();
  const api = useApi();
  const navigate = useNavigate();
  const hintId = useId();
  const [text, setText] = useState(value ?? '');
  const input = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  useEffect(() => input.current?.focus({ preventScroll: true }), []);
  // Filters may be cleared, or gone back to, elsewhere.
  const told = useRef(value);
  useEffect(() => {
    if (told.current !== value) setText(value ?? '');
    told.current = value;
  }, [value]);

  const tell = (next: string) => {
    const id = cleaned(next);
    const narrowed = id.length >= shortestPrefix ? id : undefined;
    if (narrowed === told.current) return;
    told.current = narrowed;
    onChange(narrowed);
  };
  const ask = useMutation({
    mutationFn: (q: string) => answer(api.GET('/api/v1/search', { params: { query: { q } } })),
    onSuccess: (found) => {
      const journeys = journeysOf(found);
      const [only] = journeys;
      if (only && journeys.length === 1) {
        void navigate({ to: '/traces/$id', params: { id: only.id }, search: only.event ? { event: only.event } : {} });
      }
    },
  });
  const type = (next: string) => {
    setText(next);
    ask.reset();
    clearTimeout(timer.current);
    timer.current = setTimeout(() => tell(next), settle);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    clearTimeout(timer.current);
    tell(text);
    const id = cleaned(text);
    if (id) ask.mutate(id);
    else input.current?.focus();
  };

  const kind = looksLike(text);
  return (
    <form onSubmit={submit}>
      <search>
        <div className={classes.searchRow}>
          <TextInput
            ref={input}
            className={classes.searchInput}
            size="md"
            aria-label={t.finder.search}
            aria-describedby={hintId}
            placeholder={t.finder.placeholder}
            value={text}
            onChange={(change) => type(change.currentTarget.value)}
            leftSection={<Search size={18} aria-hidden />}
            autoComplete="off"
            autoCapitalize="off"
            spellCheck={false}
            enterKeyHint="search"
            maxLength={256}
            {...{ [searchAttribute]: true }}
          />
          <Button type="submit" size="md" loading={ask.isPending}>
            {t.finder.submit}
          </Button>
        </div>
        <div id={hintId} className={classes.hint} aria-live="polite">
          {ask.data ? (
            <Found asked={cleaned(text)} found={ask.data} onFlight={onFlight} />
          ) : ask.error ? (
            <Hint warn>{ask.error.message}</Hint>
          ) : (
            <Hint warn={kind?.endsWith('BadDigit') ?? false}>
              {ask.isPending ? t.finder.asking : kind && kind !== 'other' ? t.search.looksLike[kind] : t.finder.hint}
            </Hint>
          )}
        </div>
      </search>
    </form>
  );
}

/** The journeys that an identifier leads to, each once; with the event that it is, where it is one. */
export function journeysOf(found: Answer): { id: string; event?: string }[] {
  const journeys = new Map<string, { id: string; event?: string }>();
  for (const { by, value, trace } of found.found ?? []) {
    const id = trace.correlation_id;
    if (!journeys.has(id)) journeys.set(id, { id, ...(by === 'event' && { event: value }) });
  }
  return [...journeys.values()];
}

function Found({ asked, found, onFlight }: { asked: string; found: Answer; onFlight: (flight: string) => void }) {
  const { t, f } = useI18n();
  const journeys = journeysOf(found);
  const [likely] = found.guesses ?? [];
  const flight = found.guesses?.find((guess) => guess.kind === 'flight');
  const what = likely && lookup(t.finder.guess, likely.kind);
  return (
    <>
      {journeys.length === 0 ? (
        <Hint warn>{t.finder.notExact(asked)}</Hint>
      ) : (
        <Hint>
          {t.finder.several(journeys.length, f.count(journeys.length))}{' '}
          {journeys.map(({ id, event }) => (
            <Link key={id} to="/traces/$id" params={{ id }} search={event ? { event } : {}} className="mono">
              {id}
            </Link>
          ))}
        </Hint>
      )}
      {what && likely.kind !== 'free' && (
        <Hint warn={likely.doubtful ?? false}>
          {likely.doubtful ? t.finder.doubtful(what) : t.finder.looksLike(what)}
        </Hint>
      )}
      {flight && (
        <button type="button" className={classes.flight} onClick={() => onFlight(flight.value)}>
          {t.finder.byFlight(flight.value)}
        </button>
      )}
    </>
  );
}

function Hint({ warn = false, children }: { warn?: boolean; children: ReactNode }) {
  return (
    <p data-warn={warn || undefined}>
      {warn ? <TriangleAlert size={14} aria-hidden /> : <Info size={14} aria-hidden />}
      <span>{children}</span>
    </p>
  );
}
