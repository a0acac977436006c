import {
  ArrowLeftRight,
  Ban,
  Box,
  Boxes,
  CircleAlert,
  CircleCheckBig,
  CircleHelp,
  ClockAlert,
  Container,
  FileText,
  Inbox,
  type LucideIcon,
  Luggage,
  PackageCheck,
  PackagePlus,
  Plane,
  PlaneLanding,
  Route,
  ScanLine,
  SearchX,
  Trash2,
  Truck,
  Undo2,
  User,
  Warehouse,
} from 'lucide-react';
import type { Kind, Milestone } from '../api/types';

const milestones: Record<Milestone, LucideIcon> = {
  announced: FileText,
  accepted: PackageCheck,
  processing: ScanLine,
  loaded: PackagePlus,
  in_transit: Plane,
  arrived: PlaneLanding,
  transfer: ArrowLeftRight,
  available: Inbox,
  out_for_delivery: Truck,
  delivered: CircleCheckBig,
  returned: Undo2,
  cancelled: Ban,
  lost: SearchX,
  destroyed: Trash2,
  expired: ClockAlert,
  unknown: CircleHelp,
};

const kinds: Record<Kind, LucideIcon> = {
  baggage: Luggage,
  cargo: Boxes,
  parcel: Box,
  passenger: User,
  equipment: Container,
};

interface IconProps {
  size?: number;
}

export function MilestoneIcon({ milestone, kind, size = 16 }: IconProps & { milestone: Milestone; kind?: Kind }) {
  // A parcel goes by road as often as not, and comes to a depot.
  const parcel: Partial<Record<Milestone, LucideIcon>> = { in_transit: Truck, arrived: Warehouse };
  const Icon = (kind === 'parcel' && parcel[milestone]) || milestones[milestone] || CircleHelp;
  return <Icon size={size} aria-hidden />;
}

export function KindIcon({ kind, size = 16 }: IconProps & { kind?: Kind }) {
  const Icon = (kind && kinds[kind]) || Route;
  return <Icon size={size} aria-hidden />;
}

export function ExceptionIcon({ size = 14 }: IconProps) {
  return <CircleAlert size={size} aria-hidden />;
}
