import { useId } from 'react';
import { useI18n } from '../i18n/i18n';
import { FilterButton } from './FilterButton';
import { clocks, type ListClock, type Span, spans, type TracesSearch } from './filters';
import classes from './filters.module.css';

type Times = Pick<TracesSearch, 'span' | 'from' | 'until' | 'clock'>;

interface TimeFilterProps {
  value: Times;
  onChange: (value: Times) => void;
}

const names = Object.keys(spans) as Span[];

/** What an input for a local date and time shows for an instant, and back. */
export function toLocal(at: string | undefined): string {
  if (!at) return '';
  const date = new Date(at);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}
export function fromLocal(text: string): string | undefined {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

/** A filter by time: so far back, or from one date to another, of the first event, of the last or of its reception. */
export function TimeFilter({ value, onChange }: TimeFilterProps) {
  const { t, f } = useI18n();
  const id = useId();
  const { span, from, until, clock = 'last' } = value;
  const dated = !span && Boolean(from || until);
  const text = span
    ? t.finder.span[span]
    : from && until
      ? t.finder.rangeText(f.here(from), f.here(until))
      : from
        ? t.finder.since(f.here(from))
        : until
          ? t.finder.before(f.here(until))
          : undefined;
  const withClock = (times: Times, next: ListClock = clock): Times => ({
    ...times,
    ...(next !== 'last' && { clock: next }),
  });
  const between = (change: Partial<Pick<Times, 'from' | 'until'>>) => {
    const next = { from, until, ...change };
    onChange(withClock({ ...(next.from && { from: next.from }), ...(next.until && { until: next.until }) }));
  };
  return (
    <FilterButton
      label={clock === 'last' ? t.finder.filter.time : t.finder.clock[clock]}
      value={text}
      onClear={() => onChange({})}
    >
      <fieldset className={classes.choices}>
        <legend className={classes.legend}>{t.finder.filter.time}</legend>
        <label className={classes.choice} htmlFor={`${id}-any`}>
          <input id={`${id}-any`} type="radio" name={id} checked={text === undefined} onChange={() => onChange({})} />
          {t.finder.anyTime}
        </label>
        {names.map((name) => (
          <label key={name} className={classes.choice} htmlFor={`${id}-${name}`}>
            <input
              id={`${id}-${name}`}
              type="radio"
              name={id}
              checked={span === name}
              onChange={() => onChange(withClock({ span: name }))}
            />
            {t.finder.span[name]}
          </label>
        ))}
      </fieldset>
      <fieldset className={classes.dates}>
        <legend className={classes.legend}>{t.finder.between}</legend>
        <label htmlFor={`${id}-from`}>{t.finder.from}</label>
        <input
          id={`${id}-from`}
          type="datetime-local"
          value={dated ? toLocal(from) : ''}
          onChange={(change) => between({ from: fromLocal(change.currentTarget.value) })}
        />
        <label htmlFor={`${id}-until`}>{t.finder.until}</label>
        <input
          id={`${id}-until`}
          type="datetime-local"
          value={dated ? toLocal(until) : ''}
          onChange={(change) => between({ until: fromLocal(change.currentTarget.value) })}
        />
        <p className={classes.zone}>{t.finder.zone(Intl.DateTimeFormat().resolvedOptions().timeZone)}</p>
      </fieldset>
      <fieldset className={classes.choices}>
        <legend className={classes.legend}>{t.finder.clockLabel}</legend>
        {clocks.map((name) => (
          <label key={name} className={classes.choice} htmlFor={`${id}-clock-${name}`}>
            <input
              id={`${id}-clock-${name}`}
              type="radio"
              name={`${id}-clock`}
              checked={clock === name}
              onChange={() =>
                onChange(withClock({ ...(span && { span }), ...(from && { from }), ...(until && { until }) }, name))
              }
            />
            {t.finder.clock[name]}
          </label>
        ))}
      </fieldset>
    </FilterButton>
  );
}
