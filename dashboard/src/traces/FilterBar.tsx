import { UnstyledButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ArrowDownWideNarrow, ArrowUpNarrowWide } from 'lucide-react';
import { useState } from 'react';
import { answer } from '../api/typed';
import { useApi, useRole } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { ChoiceFilter } from './ChoiceFilter';
import {
  anomalies,
  clocks,
  isFiltered,
  joinList,
  kinds,
  type ListClock,
  type ListFilter,
  splitList,
  statuses,
  type TracesSearch,
  unfiltered,
} from './filters';
import classes from './filters.module.css';
import { TextFilter } from './TextFilter';
import { TimeFilter } from './TimeFilter';

interface FilterBarProps {
  search: TracesSearch;
  onChange: (search: TracesSearch) => void;
}

/** Filters that are seldom wanted wait behind a button, unless they are set. */
const seldom: readonly ListFilter[] = ['milestone', 'carrier', 'eventType', 'anomaly'];

/** What narrows the list of traces, and the order it is in. */
export function FilterBar({ search, onChange }: FilterBarProps) {
  const { t } = useI18n();
  const [all, showAll] = useState(false);
  const sources = useSources();
  const set = (name: ListFilter, values: readonly string[]) => {
    const { [name]: _, ...rest } = search;
    const text = joinList(values);
    onChange({ ...rest, ...(text && { [name]: text }) });
  };
  const shown = (name: ListFilter) => all || !seldom.includes(name) || search[name] !== undefined;

  const labelled = (values: readonly string[], texts: Readonly<Record<string, string>>) =>
    values.map((value) => ({ value, label: texts[value] ?? value }));
  const choices: Partial<Record<ListFilter, { value: string; label: string }[]>> = {
    status: labelled(statuses, t.trace.milestone),
    milestone: labelled(statuses, t.trace.milestone),
    kind: labelled(kinds, t.trace.kind),
    exception: [
      { value: 'any', label: t.finder.exceptionAny },
      ...labelled(
        Object.keys(t.trace.exception).filter((code) => code !== 'cleared'),
        t.trace.exception,
      ),
    ],
    anomaly: labelled(anomalies, { any: t.finder.anomalyAny, ...t.trace.anomaly }),
  };
  const order: readonly ListFilter[] = [
    'status',
    'kind',
    'exception',
    'location',
    'flight',
    'source',
    'milestone',
    'carrier',
    'eventType',
    'anomaly',
  ];
  const { span, from, until, clock } = search;
  const examples: Partial<Record<ListFilter, string>> = t.finder.example;
  return (
    <fieldset className={classes.bar} aria-label={t.finder.filters}>
      <TimeFilter
        value={{ ...(span && { span }), ...(from && { from }), ...(until && { until }), ...(clock && { clock }) }}
        onChange={(times) => {
          const { span: _, from: __, until: ___, clock: ____, ...rest } = search;
          onChange({ ...rest, ...times });
        }}
      />
      {order.filter(shown).map((name) => {
        const options = choices[name];
        const values = splitList(search[name]);
        return options ? (
          <ChoiceFilter
            key={name}
            label={t.finder.filter[name]}
            choices={options}
            values={values}
            onChange={(next) => set(name, next)}
          />
        ) : (
          <TextFilter
            key={name}
            label={t.finder.filter[name]}
            example={examples[name] ?? ''}
            values={values}
            suggestions={name === 'source' ? sources : []}
            onChange={(next) => set(name, next)}
          />
        );
      })}
      {!all && (
        <UnstyledButton className={classes.link} onClick={() => showAll(true)}>
          {t.finder.more}
        </UnstyledButton>
      )}
      {isFiltered(search) && (
        <UnstyledButton className={classes.link} onClick={() => onChange(unfiltered(search))}>
          {t.finder.clear}
        </UnstyledButton>
      )}
      <Sorting search={search} onChange={onChange} />
    </fieldset>
  );
}

function Sorting({ search, onChange }: FilterBarProps) {
  const { t } = useI18n();
  const { sort = 'last', order, ...rest } = search;
  const ascending = order === 'asc';
  const put = (nextSort: ListClock, nextAscending: boolean) =>
    onChange({
      ...rest,
      ...(nextSort !== 'last' && { sort: nextSort }),
      ...(nextAscending && { order: 'asc' as const }),
    });
  return (
    <span className={classes.end}>
      <select
        className={classes.select}
        aria-label={t.finder.sort}
        value={sort}
        onChange={(change) => put(change.currentTarget.value as ListClock, ascending)}
      >
        {clocks.map((name) => (
          <option key={name} value={name}>
            {t.finder.sortBy[name]}
          </option>
        ))}
      </select>
      <UnstyledButton
        className={classes.link}
        aria-label={ascending ? t.finder.ascending : t.finder.descending}
        title={ascending ? t.finder.ascending : t.finder.descending}
        onClick={() => put(sort, !ascending)}
      >
        {ascending ? <ArrowUpNarrowWide size={17} aria-hidden /> : <ArrowDownWideNarrow size={17} aria-hidden />}
      </UnstyledButton>
    </span>
  );
}

/** The sources there are, for whoever may know: a help for the memory, no more. */
function useSources(): string[] {
  const api = useApi();
  const may = useRole('ops:read');
  const { data } = useQuery({
    queryKey: ['sources', api.tenant],
    queryFn: async ({ signal }) =>
      (await answer(api.GET('/api/v1/carriers', { params: { query: { window: '15m' } }, signal }))).items ?? [],
    enabled: may,
    staleTime: 60_000,
    retry: false,
  });
  return (data ?? []).map((carrier) => carrier.source);
}
