import { CircleCheck, TriangleAlert } from 'lucide-react';
import { useI18n } from '../i18n/i18n';
import { useLive } from '../live/live';
import { balance, lastingOver } from '../live/series';
import { Card } from '../ui/Card';
import { Mark } from '../ui/Mark';
import classes from './overview.module.css';

const parts = ['stored', 'inFlight', 'duplicates', 'dropped', 'deadLetters'] as const;

/** How long the counts may disagree before they are said to: they are not all counted at one instant. */
const patience = 15_000;

/** Where everything accepted is. */
export function BalanceCard() {
  const { t, f } = useI18n();
  const samples = useLive((s) => s.samples);
  const last = samples.at(-1);
  const known = last && balance(last);
  const over = lastingOver(samples, patience);
  const text = (n: number | undefined) => (n === undefined ? t.time.unknown : f.count(n));
  const total = known?.accepted ?? 0;

  return (
    <Card
      className={classes.balance}
      titleId="balance"
      title={t.overview.balance.title}
      actions={
        known &&
        (over > 0 ? (
          <Mark tone="bad" icon={<TriangleAlert size={13} aria-hidden />}>
            {t.overview.balance.open}
          </Mark>
        ) : (
          <Mark tone="ok" icon={<CircleCheck size={13} aria-hidden />}>
            {t.overview.balance.closed}
          </Mark>
        ))
      }
    >
      <p className="secondary">{over > 0 ? t.overview.balance.over(f.count(over)) : t.overview.balance.explain}</p>
      <p className={classes.balanceTotal}>
        <span>{t.overview.balance.accepted}</span>
        <strong className="num">{text(known?.accepted)}</strong>
      </p>
      <div
        className={classes.bar}
        role="img"
        aria-label={t.overview.balance.summary(text(known?.accepted), text(known?.stored), text(known?.inFlight))}
      >
        {known &&
          total > 0 &&
          parts.map((part) =>
            known[part] > 0 ? <span key={part} data-name={part} style={{ flexGrow: known[part] / total }} /> : null,
          )}
      </div>
      <dl className={classes.parts}>
        {parts.map((part) => (
          <div key={part}>
            <dt>
              <span className={classes.key} data-name={part} aria-hidden />
              {t.overview.balance[part]}
            </dt>
            <dd className="num">
              <span className={classes.share}>
                {known && total > 0 && known[part] > 0 ? f.percent(known[part] / total) : ''}
              </span>
              <span data-testid={`balance-${part}`}>{text(known?.[part])}</span>
            </dd>
          </div>
        ))}
      </dl>
    </Card>
  );
}
