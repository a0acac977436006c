import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import { Card } from '../ui/Card';
import classes from './stages.module.css';

/** How long batches took, as bars whose widths are of one ratio: twice as far to the right is a multiple as long. */
export function Distribution({ stage }: { stage: Schema<'StageDetail'> }) {
  const { t, f } = useI18n();
  const bars = stage.took_distribution ?? [];
  const most = Math.max(...bars.map((b) => b.count), 1);
  const all = bars.reduce((sum, b) => sum + b.count, 0);
  const took = stage.took;
  const marks = took
    ? ([
        ['p50', took.p50_ms],
        ['p95', took.p95_ms],
        ['p99', took.p99_ms],
      ] as const)
    : [];
  return (
    <Card
      titleId="distribution"
      title={t.stages.distribution}
      note={took && t.stages.ofEvents(took.count, f.count(took.count))}
    >
      {bars.length === 0 ? (
        <p className="secondary">{t.stages.idle}</p>
      ) : (
        <>
          <ol className={classes.bars} aria-label={t.stages.distribution}>
            {bars.map((bar) => (
              <li
                key={bar.up_to_ms}
                title={t.stages.bar(f.ms(bar.up_to_ms), f.count(bar.count), f.percent(bar.count / all))}
              >
                <span
                  className={classes.barFill}
                  style={{ height: `${(bar.count / most) * 100}%` }}
                  data-some={bar.count > 0 || undefined}
                />
                <span className="visually-hidden">
                  {t.stages.bar(f.ms(bar.up_to_ms), f.count(bar.count), f.percent(bar.count / all))}
                </span>
              </li>
            ))}
          </ol>
          <p className={`${classes.barScale} num`} aria-hidden>
            <span>{f.ms(bars[0]?.up_to_ms)}</span>
            <span>{f.ms(bars.at(-1)?.up_to_ms)}</span>
          </p>
          <dl className={classes.quantiles}>
            {marks.map(([name, ms]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd className="num">{f.ms(ms)}</dd>
              </div>
            ))}
            <div>
              <dt>{t.stages.max}</dt>
              <dd className="num">{f.ms(took?.max_ms)}</dd>
            </div>
          </dl>
        </>
      )}
    </Card>
  );
}
