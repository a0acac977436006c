import { Button } from '@mantine/core';
import { CloudOff } from 'lucide-react';
import { ApiError, UnreachableError } from '../api/client';
import type { Catalog } from '../i18n/es';
import { useI18n } from '../i18n/i18n';
import { CopyButton } from './CopyButton';
import classes from './ui.module.css';

interface ErrorCardProps {
  error: unknown;
  onRetry: () => void;
  retrying?: boolean;
  /** Trying again means loading the page anew. */
  reload?: boolean;
  /** It stands for a whole page. */
  page?: boolean;
}

/** What went wrong, and what to do about it. */
export function explain(error: unknown, t: Catalog): string {
  if (error instanceof UnreachableError) return t.error.unreachable;
  if (!(error instanceof ApiError)) return t.error.unexpected;
  if (error.status === 403) return t.error.forbidden;
  if (error.status === 404) return t.error.notFound;
  if (error.status === 409) return t.error.conflict;
  if (error.status === 422) return t.error.invalid;
  if (error.status === 429) return t.error.tooMany;
  if (error.status === 503) return t.error.unavailable;
  return t.error.server;
}

/** Says what went wrong, how to refer to it, and offers to try again. */
export function ErrorCard({ error, onRetry, retrying = false, reload = false, page = false }: ErrorCardProps) {
  const { t } = useI18n();
  const problem = error instanceof ApiError ? error.problem : undefined;
  const Heading = page ? 'h1' : 'h2';
  return (
    <div className={classes.empty} role="alert">
      <div className={`${classes.emptyIcon} ${classes.bad}`}>
        <CloudOff size={28} aria-hidden />
      </div>
      <Heading className={classes.emptyTitle}>{t.error.title}</Heading>
      <div className={classes.emptyText}>
        <p>{explain(error, t)}</p>
        {problem?.detail && (
          <p lang="en" className="secondary">
            {problem.detail}
          </p>
        )}
        {problem?.instance && (
          <p className={classes.reference}>
            {t.error.reference} <code className="mono">{problem.instance}</code>
            <CopyButton value={problem.instance} label={t.trace.copyId} />
          </p>
        )}
        <Button onClick={onRetry} loading={retrying} size="sm">
          {reload ? t.error.reload : t.error.retry}
        </Button>
      </div>
    </div>
  );
}
