import { useI18n } from '../i18n/i18n';
import classes from './frame.module.css';

/** What this Rastro is called, as the server wrote it into the page; empty where it has no name. */
export const environment = (): string =>
  document.querySelector<HTMLMetaElement>('meta[name="rastro-environment"]')?.content.trim() ?? '';

/** Names that mean that what one does is done to what counts. */
const production = /^prod/i;

/** Says which Rastro this is, so that nobody repairs the wrong one. */
export function EnvironmentBadge() {
  const { t } = useI18n();
  const name = environment();
  if (!name) return null;
  return (
    <span
      className={classes.environment}
      data-production={production.test(name) || undefined}
      title={t.header.environment(name)}
      data-testid="environment"
    >
      {name}
    </span>
  );
}
