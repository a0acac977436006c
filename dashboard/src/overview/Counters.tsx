import { Tooltip } from '@mantine/core';
import { useI18n } from '../i18n/i18n';
import { useLive } from '../live/live';
import { type CountName, rateAt } from '../live/series';
import classes from './overview.module.css';
import { Sparkline } from './Sparkline';

const names: CountName[] = ['accepted', 'stored', 'duplicates', 'deadLetters'];

/** Rates are means over ten seconds: an eye can follow them. */
const smooth = 10_000;

/** The counts since the beginning, their rates and how these went in the last minute. */
export function Counters() {
  return (
    <ul className={classes.counters}>
      {names.map((name) => (
        <Counter key={name} name={name} />
      ))}
    </ul>
  );
}

function Counter({ name }: { name: CountName }) {
  const { t, f } = useI18n();
  const samples = useLive((s) => s.samples);
  const count = samples.at(-1)?.[name];
  const rate = rateAt(samples, name, smooth);
  const label = t.overview.kpi[name];
  const trouble = name === 'deadLetters' && (count ?? 0) > 0;
  return (
    <li className={classes.counter} data-name={name}>
      <div className={classes.counterHead}>
        <Tooltip label={t.overview.kpi[`${name}Hint`]} withArrow multiline w={240} openDelay={300}>
          <h2>
            <span className={classes.key} data-name={name} aria-hidden />
            {label}
          </h2>
        </Tooltip>
        <span
          className={`${classes.rate} num`}
          title={rate === undefined ? undefined : `${f.decimal(rate)} ${t.overview.perSecond}`}
        >
          <span data-testid={`rate-${name}`}>{f.rate(rate)}</span>
          <span className={classes.unit}>{t.overview.perSecond}</span>
        </span>
      </div>
      <p className={`${classes.count} num`} data-trouble={trouble || undefined}>
        <span data-testid={`count-${name}`}>{count === undefined ? t.time.unknown : f.count(count)}</span>
        <span className={classes.unit}>{t.overview.totalLabel}</span>
      </p>
      <Sparkline samples={samples} name={name} label={t.overview.trend(label)} />
    </li>
  );
}
