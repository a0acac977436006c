import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { Alert } from './queries';

/** Leads to the page of what an alert is about, where there is one. */
export function SubjectLink({ alert, children }: { alert: Alert; children: ReactNode }) {
  const { kind, subject } = alert;
  const { pipeline, stage, source, reason } = subject;
  if (kind === 'config-refused') return <Link to="/config">{children}</Link>;
  if (kind === 'dead-letters-open') return <Link to="/dead-letters">{children}</Link>;
  if (kind === 'dead-letters-rising')
    return (
      <Link
        to="/dead-letters"
        search={{ ...(pipeline && { pipeline }), ...(stage && { stage }), ...(reason && { reason }) }}
      >
        {children}
      </Link>
    );
  if (kind === 'carrier-rejected' && source)
    return (
      <Link to="/dead-letters" search={{ source }}>
        {children}
      </Link>
    );
  if (source)
    return (
      <Link to="/carriers" search={{ source }}>
        {children}
      </Link>
    );
  if (kind.startsWith('queue')) return <Link to="/queues">{children}</Link>;
  if (pipeline && stage)
    return (
      <Link to="/stages/$id" params={{ id: `${pipeline}.${stage}` }}>
        {children}
      </Link>
    );
  if (kind === 'processors-missing') return <Link to="/stages">{children}</Link>;
  if (pipeline) return <Link to="/">{children}</Link>;
  return <span>{children}</span>;
}
