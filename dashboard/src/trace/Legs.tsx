import { Plane, Ship, TrainFront, Truck } from 'lucide-react';
import type { Leg } from '../api/types';
import { useI18n } from '../i18n/i18n';
import { legName } from './place';
import { StatusMark } from './StatusMark';
import classes from './trace.module.css';

const modes = { air: Plane, sea: Ship, road: Truck, rail: TrainFront };

/** The flights, voyages and trucks of the journey, each as a ticket. */
export function Legs({ legs }: { legs: readonly Leg[] }) {
  const { t, f } = useI18n();
  return (
    <div className={classes.section}>
      <h2 className={classes.sectionTitle}>{t.trace.legs}</h2>
      <ol className={classes.legs}>
        {legs.map((leg) => {
          const { transport } = leg;
          const Icon = modes[transport.mode as keyof typeof modes] ?? Plane;
          return (
            <li
              key={`${legName(transport)} ${transport.date ?? ''} ${transport.origin ?? ''} ${transport.destination ?? ''}`}
              className={classes.leg}
              data-done={leg.status === 'arrived' || undefined}
            >
              <span className={classes.legRoute}>
                <strong>{transport.origin ?? t.time.unknown}</strong>
                <span className={classes.legLine} aria-hidden>
                  <Icon size={15} />
                </span>
                <strong>{transport.destination ?? t.time.unknown}</strong>
              </span>
              <span className={classes.legFoot}>
                <span className={classes.legName}>
                  <span className="mono">{legName(transport) || t.time.unknown}</span>
                  {transport.date && (
                    <time
                      dateTime={transport.date}
                      className="secondary"
                      title={t.trace.legDate(f.day(transport.date))}
                    >
                      {f.dayShort(transport.date)}
                    </time>
                  )}
                </span>
                <StatusMark status={leg.status} />
              </span>
            </li>
          );
        })}
      </ol>
    </div>
  );
}
