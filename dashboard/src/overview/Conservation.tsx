import { CircleCheck, TriangleAlert } from 'lucide-react';
import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import { useLive } from '../live/live';
import { balance, lastingOver } from '../live/series';
import { Card } from '../ui/Card';
import { Mark } from '../ui/Mark';
import classes from './overview.module.css';

const parts = ['stored', 'duplicates', 'dropped', 'deadLetters', 'inFlight'] as const;

/** How long the counts may disagree before they are said to: they are not all counted at one instant. */
const patience = 15_000;

/** Where everything accepted is: an equation that must close. */
export function Conservation({ pipelines }: { pipelines: readonly Schema<'Balance'>[] }) {
  const { t, f } = useI18n();
  const samples = useLive((s) => s.samples);
  const last = samples.at(-1);
  const known = last && balance(last);
  const over = lastingOver(samples, patience);
  const twice = pipelines.reduce((sum, p) => sum + p.twice, 0);
  const text = (n: number | undefined) => (n === undefined ? t.time.unknown : f.count(n));
  const total = known?.accepted ?? 0;
  const words = t.overview.balance;
  const wrong = over > 0 || twice > 0;
  return (
    <Card
      className={classes.balance}
      titleId="balance"
      title={words.title}
      note={over > 0 ? words.over(f.count(over)) : twice > 0 ? words.twice(f.count(twice)) : words.explain}
      actions={
        known &&
        (wrong ? (
          <Mark tone="bad" icon={<TriangleAlert size={13} aria-hidden />}>
            {words.open}
          </Mark>
        ) : (
          <Mark tone="ok" icon={<CircleCheck size={13} aria-hidden />}>
            {words.closed}
          </Mark>
        ))
      }
    >
      <dl className={classes.equation}>
        <div>
          <dt>{words.accepted}</dt>
          <dd className="num" data-testid="count-accepted">
            {text(known?.accepted)}
          </dd>
        </div>
        {parts.map((part, i) => (
          <div key={part} data-sign={i === 0 ? '=' : '+'}>
            <dt>
              <span className={classes.key} data-name={part} aria-hidden />
              {words[part]}
            </dt>
            <dd className="num">
              <span data-testid={`count-${part}`}>{text(known?.[part])}</span>
              <span className={classes.share}>
                {known && total > 0 && known[part] > 0 ? f.percent(known[part] / total) : ''}
              </span>
            </dd>
          </div>
        ))}
      </dl>
      <div
        className={classes.bar}
        role="img"
        aria-label={words.summary(text(known?.accepted), text(known?.stored), text(known?.inFlight))}
      >
        {known &&
          total > 0 &&
          parts.map((part) =>
            known[part] > 0 ? <span key={part} data-name={part} style={{ flexGrow: known[part] / total }} /> : null,
          )}
      </div>
      {pipelines.length > 1 && <ByPipeline pipelines={pipelines} />}
    </Card>
  );
}

function ByPipeline({ pipelines }: { pipelines: readonly Schema<'Balance'>[] }) {
  const { t, f } = useI18n();
  const words = t.overview.balance;
  return (
    <table className={`${classes.books} num`}>
      <thead>
        <tr>
          <th scope="col">{words.pipeline}</th>
          <th scope="col">{words.received}</th>
          <th scope="col">{words.passed}</th>
          <th scope="col">{words.duplicates}</th>
          <th scope="col">{words.dropped}</th>
          <th scope="col">{words.deadLetters}</th>
          <th scope="col">{words.inFlight}</th>
        </tr>
      </thead>
      <tbody>
        {pipelines.map((p) => (
          <tr key={p.pipeline}>
            <th scope="row">{p.pipeline}</th>
            <td>{f.count(p.received + p.emitted)}</td>
            <td>{f.count(p.passed)}</td>
            <td>{f.count(p.duplicates)}</td>
            <td>{f.count(p.dropped)}</td>
            <td>{f.count(p.dead_lettered)}</td>
            <td>{f.count(p.in_flight)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
