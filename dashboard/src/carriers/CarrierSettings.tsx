import { Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { ErrorCard } from '../ui/ErrorCard';
import { Effective } from './Effective';
import classes from './effective.module.css';
import { carrierSettingsQuery } from './queries';

/** What holds for what a source sends: the settings of its carriers, to be read only. */
export function CarrierSettings({ source }: { source: string }) {
  const { t } = useI18n();
  const words = t.carriers.settings;
  const { data, error, refetch, isFetching } = useQuery(carrierSettingsQuery(useApi(), source));
  return (
    <section className={classes.holds} data-testid="carrier-settings">
      <h3 className={classes.title}>{words.title}</h3>
      {!data && error && <ErrorCard error={error} onRetry={() => void refetch()} retrying={isFetching} />}
      {!data && !error && <Skeleton height={320} />}
      {data?.length === 0 && (
        <p className="secondary">
          {words.noCarrier}{' '}
          <Link to="/carriers" search={{ tab: 'tenant' }}>
            {words.ofTenant}
          </Link>
        </p>
      )}
      {data?.map((carrier) => (
        <div key={carrier.name} className={classes.carrier}>
          <p>
            <strong>{carrier.summary || carrier.name}</strong>{' '}
            <span className="secondary">
              {words.format(carrier.format, carrier.shape)}
              {carrier.shared && ` · ${words.shared}`}
            </span>
          </p>
          <p className="secondary">
            {words.sendsTo} <code className="mono">{carrier.address}</code>
          </p>
          <p className="secondary">{words.changedIn(carrier.file)}</p>
          <Effective settings={carrier.effective ?? []} of="carrier" label={words.label(carrier.name)} />
        </div>
      ))}
    </section>
  );
}
