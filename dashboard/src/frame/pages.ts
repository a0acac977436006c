import { Activity, Bell, Boxes, Layers, type LucideIcon, Route as RouteIcon, Settings, Truck } from 'lucide-react';
import type { ComponentType } from 'react';
import { AlertsBadge } from '../alerts/AlertsBadge';
import { useMe } from '../app/session';
import type { Catalog } from '../i18n/es';
import { LettersBadge } from './LettersBadge';

/** A page that the frame leads to. */
export interface Page {
  to: '/' | '/stages' | '/queues' | '/traces' | '/carriers' | '/alerts' | '/config';
  /** The letter that goes there after `g`. */
  key: string;
  icon: LucideIcon;
  label: (t: Catalog) => string;
  /** What a role must open for it: see GET /api/v1/me. */
  feature: string;
  /** On a narrow screen it stands in the bar at the bottom; the others are one step further. */
  first?: boolean;
  /** Addresses that begin so belong to it as well. */
  also?: string;
  /** What is said beside it, such as a number. */
  badge?: ComponentType;
}

/** In the order in which they stand. */
export const pages: readonly Page[] = [
  { to: '/', key: 'o', icon: Activity, label: (t) => t.nav.overview, feature: 'stream', first: true },
  { to: '/stages', key: 'e', icon: Layers, label: (t) => t.nav.stages, feature: 'operations', first: true },
  {
    to: '/queues',
    key: 'q',
    icon: Boxes,
    label: (t) => t.nav.queues,
    feature: 'dead_letters',
    first: true,
    also: '/dead-letters',
    badge: LettersBadge,
  },
  { to: '/traces', key: 't', icon: RouteIcon, label: (t) => t.nav.traces, feature: 'traces', first: true },
  { to: '/carriers', key: 'c', icon: Truck, label: (t) => t.nav.carriers, feature: 'operations' },
  {
    to: '/alerts',
    key: 'a',
    icon: Bell,
    label: (t) => t.nav.alerts,
    feature: 'operations',
    badge: AlertsBadge,
  },
  { to: '/config', key: 'f', icon: Settings, label: (t) => t.nav.config, feature: 'stream' },
];

/** The pages that are open to whoever is signed in. */
export function usePages(): readonly Page[] {
  const { features } = useMe();
  return pages.filter((page) => features.includes(page.feature));
}
