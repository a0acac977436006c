import { Link } from '@tanstack/react-router';
import { Bell } from 'lucide-react';
import classes from '../frame/frame.module.css';
import { useI18n } from '../i18n/i18n';
import { useAlertNews, useAlerts, wanting } from './queries';

/** How many alerts want somebody, when any do. */
export function AlertsBadge() {
  const { t, f } = useI18n();
  useAlertNews();
  const count = wanting(useAlerts().data);
  if (count === 0) return null;
  return (
    <span className={`${classes.badge} num`} data-testid="alerts-badge">
      <span aria-hidden>{f.rate(count)}</span>
      <span className="visually-hidden">{t.alerts.wanting(count, f.count(count))}</span>
    </span>
  );
}

/** The way to the alerts where the navigation has no room for it. */
export function AlertsLink() {
  const { t } = useI18n();
  return (
    <Link to="/alerts" className={classes.bell}>
      <Bell size={18} aria-hidden />
      <span className="visually-hidden">{t.nav.alerts}</span>
      <AlertsBadge />
    </Link>
  );
}
