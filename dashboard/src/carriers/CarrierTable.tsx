import { UnstyledButton } from '@mantine/core';
import { ArrowDown, ArrowUp, BellOff, Check, CircleHelp, Copy, OctagonX } from 'lucide-react';
import type { ReactNode } from 'react';
import { useI18n } from '../i18n/i18n';
import { Mark } from '../ui/Mark';
import classes from './carriers.module.css';
import { type Carrier, type Column, columns, type Health, type Sorting, silenceRatio, sorted, tones } from './health';

interface CarrierTableProps {
  carriers: readonly Carrier[];
  sorting: Sorting;
  onSort: (sorting: Sorting) => void;
  chosen: string | undefined;
  onChoose: (source: string | undefined) => void;
}

const numeric: readonly Column[] = ['rate', 'stored', 'errors', 'duplicates', 'unknown', 'delay'];

const icons: Record<Health, ReactNode> = {
  silent: <BellOff size={12} aria-hidden />,
  failing: <OctagonX size={12} aria-hidden />,
  unmapped: <CircleHelp size={12} aria-hidden />,
  repeating: <Copy size={12} aria-hidden />,
  fine: <Check size={12} aria-hidden />,
  unknown: <CircleHelp size={12} aria-hidden />,
};

/** The carriers, the worst first unless it is wanted otherwise. */
export function CarrierTable({ carriers, sorting, onSort, chosen, onChoose }: CarrierTableProps) {
  const { t } = useI18n();
  const turn = (by: Column) => onSort({ by, up: by === sorting.by ? !sorting.up : by === 'source' });
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
    <section className={classes.scroll} tabIndex={0} aria-labelledby="carriers">
      <table className={classes.table}>
        <thead>
          <tr>
            {columns.map((column) => {
              const on = sorting.by === column;
              return (
                <th
                  key={column}
                  scope="col"
                  aria-sort={on ? (sorting.up ? 'ascending' : 'descending') : 'none'}
                  data-numeric={numeric.includes(column) || undefined}
                >
                  <UnstyledButton
                    className={classes.sort}
                    onClick={() => turn(column)}
                    title={t.carriers.sortBy(t.carriers.column[column])}
                  >
                    {t.carriers.column[column]}
                    <span className={classes.arrow} data-on={on || undefined}>
                      {on && sorting.up ? <ArrowUp size={13} aria-hidden /> : <ArrowDown size={13} aria-hidden />}
                    </span>
                  </UnstyledButton>
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {sorted(carriers, sorting).map((carrier) => (
            <Row
              key={carrier.source}
              carrier={carrier}
              chosen={carrier.source === chosen}
              onChoose={() => onChoose(carrier.source === chosen ? undefined : carrier.source)}
            />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Row({ carrier, chosen, onChoose }: { carrier: Carrier; chosen: boolean; onChoose: () => void }) {
  const { t, f } = useI18n();
  const { health } = carrier;
  return (
    <tr data-chosen={chosen || undefined} data-testid="carrier">
      <th scope="row">
        <button
          type="button"
          className={`${classes.source} mono`}
          aria-pressed={chosen}
          aria-label={t.carriers.choose(carrier.source)}
          onClick={onChoose}
        >
          {carrier.source}
        </button>
      </th>
      <td>
        <Mark tone={tones[health]} icon={icons[health]}>
          {t.carriers.health[health]}
        </Mark>
      </td>
      <td>
        <Silence carrier={carrier} />
      </td>
      <td data-numeric className="num">
        {f.rate(carrier.per_second)}
        <span className={classes.unit}>{t.carriers.perSecond}</span>
      </td>
      <td data-numeric className="num">
        {f.count(carrier.stored)}
      </td>
      <Share value={carrier.error_share} tone={health === 'failing' ? 'bad' : undefined} />
      <Share value={carrier.duplicate_share} tone={health === 'repeating' ? 'warn' : undefined} />
      <Share value={carrier.unknown_code_share} tone={health === 'unmapped' ? 'warn' : undefined} />
      <td data-numeric className="num" title={t.carriers.delayHint}>
        {carrier.delay ? (
          <>
            {f.ms(carrier.delay.p50_ms)}
            <span className={classes.p95}>{t.carriers.p95(f.ms(carrier.delay.p95_ms))}</span>
          </>
        ) : (
          t.time.unknown
        )}
      </td>
    </tr>
  );
}

function Share({ value, tone }: { value: number | undefined; tone: 'bad' | 'warn' | undefined }) {
  const { t, f } = useI18n();
  return (
    <td data-numeric className="num" data-tone={tone}>
      {value === undefined ? <span className="secondary">{t.time.unknown}</span> : f.percent(value)}
    </td>
  );
}

/** How long nothing has come, against what is usual: a full bar is twice of that, and silence. */
function Silence({ carrier }: { carrier: Carrier }) {
  const { t, f } = useI18n();
  const ratio = silenceRatio(carrier);
  return (
    <div className={classes.silence}>
      <span className="num" title={f.here(carrier.last_at)}>
        {f.ago(carrier.silent_ms)}
        <span className={classes.usual}>
          {carrier.usual_gap_ms === undefined
            ? t.carriers.usualUnknown
            : t.carriers.usual(f.duration(carrier.usual_gap_ms))}
        </span>
      </span>
      <span className={classes.bar} data-silent={carrier.silent || undefined} aria-hidden>
        <span style={{ width: `${Math.min(100, ratio * 50)}%` }} />
      </span>
    </div>
  );
}
