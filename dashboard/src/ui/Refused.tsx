import { Alert } from '@mantine/core';
import { TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import { ApiError } from '../api/client';
import { useI18n } from '../i18n/i18n';
import { explain } from './ErrorCard';

interface RefusedProps {
  error: unknown;
  /** What to say instead of what such an error means as a rule. */
  words?: string | undefined;
  /** It keeps nobody from going on. */
  mild?: boolean;
  /** What can be done about it. */
  children?: ReactNode;
}

/** Says in a dialog why what was asked for was not done, in the server's own words as well. */
export function Refused({ error, words, mild = false, children }: RefusedProps) {
  const { t } = useI18n();
  return (
    <Alert color={mild ? 'orange' : 'red'} variant="light" icon={<TriangleAlert size={16} aria-hidden />} role="alert">
      <p>{words ?? explain(error, t)}</p>
      {error instanceof ApiError && (
        <p lang="en" className="secondary">
          {error.problem.detail}
        </p>
      )}
      {children}
    </Alert>
  );
}
