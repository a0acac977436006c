import { useQuery } from '@tanstack/react-query';
import { openLettersQuery } from '../app/figures';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import classes from './frame.module.css';

/** How many dead letters are open, when any are. */
export function LettersBadge() {
  const { t, f } = useI18n();
  const api = useApi();
  const groups = useQuery({ ...openLettersQuery(api), refetchInterval: useInterval(15_000) });
  const open = (groups.data?.items ?? []).reduce((sum, g) => sum + g.count, 0);
  if (open === 0) return null;
  return (
    <span className={`${classes.badge} num`}>
      {f.rate(open)}
      <span className="visually-hidden"> {t.letters.states.open}</span>
    </span>
  );
}
