// What the API answers, as the wire names it, where that is read by hand: the rest is in schema.d.ts.

import type { Schema } from './typed';

/** RFC 9457 problem details: every error of the API. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  /** Identifies the request in the logs. */
  instance?: string;
  errors?: { index?: number; field?: string; code: string; message: string }[];
}

/** GET api/v1/me */
export type Me = Omit<Schema<'Me'>, 'roles' | 'tenants' | 'features'> & {
  roles: string[];
  /** Whose data may be seen, one's own first. */
  tenants: Schema<'TenantName'>[];
  /** What the roles open of the dashboard. */
  features: string[];
};

/** Counts since the beginning, of one tenant, at one moment. */
export interface Counts {
  at: string;
  accepted: number;
  stored: number;
  duplicates: number;
  dead_letters: number;
  /** What stages dropped on purpose, duplicates included. */
  dropped?: number;
}

/** The `history` event of GET api/v1/stream: what a chart starts from. */
export interface History {
  points: Counts[];
}

/** The `tick` event of GET api/v1/stream, once a second. */
export interface Tick extends Counts {
  dropped: number;
  accepted_per_second: number;
  stored_per_second: number;
  /** These are left out while they are as they were. */
  in_flight?: number;
  latency?: Schema<'Latency'>;
  /** By `pipeline/stage`. */
  stages?: Record<string, Schema<'StageGauge'>>;
}

export type Kind = 'baggage' | 'cargo' | 'parcel' | 'passenger' | 'equipment';

export type Milestone =
  | 'announced'
  | 'accepted'
  | 'processing'
  | 'loaded'
  | 'in_transit'
  | 'arrived'
  | 'transfer'
  | 'available'
  | 'out_for_delivery'
  | 'delivered'
  | 'returned'
  | 'cancelled'
  | 'lost'
  | 'destroyed'
  | 'expired'
  | 'unknown';

export type Classifier = 'actual' | 'estimated' | 'planned' | 'requested' | 'expected';

export type TimeQuality = 'exact' | 'zone_inferred' | 'year_inferred' | 'date_only';

/** Where an event happened, as the sender said it. */
export interface Location {
  iata?: string;
  icao?: string;
  unlocode?: string;
  gln?: string;
  name?: string;
  facility?: string;
  latitude?: number;
  longitude?: number;
}

export interface Quantity {
  pieces?: number;
  total_pieces?: number;
  weight?: number;
  weight_unit?: string;
}

/** One flight, voyage or truck. */
export interface Transport {
  mode?: string;
  carrier?: string;
  number?: string;
  /** Local date of origin, YYYY-MM-DD. */
  date?: string;
  origin?: string;
  destination?: string;
}

export interface Correction {
  kind: 'void' | 'replace';
  event_ids: string[];
  reason?: string;
}

/** An airport as the reference data knows it. */
export interface Place {
  iata: string;
  icao?: string;
  name: string;
  city?: string;
  /** ISO 3166-1 alpha-2 */
  country?: string;
  latitude: number;
  longitude: number;
  time_zone?: string;
}

export interface Airline {
  iata?: string;
  icao?: string;
  accounting_prefix?: string;
  name: string;
}

export interface Enrichment {
  /** 'none' of a code that is known and moves nothing. */
  milestone?: Milestone | 'none';
  exception?: string;
  place?: Place;
  airline?: Airline;
  transport?: Transport;
}

/** One event of a trace, less what JSON.parse would round: see TraceEvent. */
interface TraceEventFields {
  uid: string;
  tenant_id: string;
  source: string;
  event_id: string;
  correlation_id: string;
  aggregate_id: string;
  kind?: Kind;
  /** The sender's code exactly as sent. */
  event_type: string;
  classifier: Classifier;
  /** When it happened, in the zone the sender wrote it in. */
  timestamp: string;
  time_quality?: TimeQuality;
  received_at: string;
  location?: Location;
  quantity?: Quantity;
  transport?: Transport;
  corrects?: Correction;
  enrichment?: Enrichment;
  /** A later event took it out of the trace. */
  voided?: boolean;
  /** Another event with the same source and event id stands in its place. */
  superseded?: boolean;
  /** It was received after an event that occurred later than it. */
  late?: boolean;
  /** It says something about a person, which is kept apart. */
  personal?: { masked: boolean };
}

export interface TraceEvent extends TraceEventFields {
  /** The sender's data as it stood in the response, byte for byte; undefined when it sent none. */
  payloadText?: string;
  /** The sender's version of the event id, in the digits of the response. */
  revisionText?: string;
  /** The whole event as it stood in the response. */
  rawText: string;
}

export interface MilestoneReached {
  milestone: Milestone;
  first_at: string;
  last_at: string;
  count: number;
}

export interface Leg {
  transport: Transport;
  status: Milestone;
  first_at: string;
  last_at: string;
}

export interface AggregateStatus {
  aggregate_id: string;
  status: Milestone;
  exception?: string;
  /** The furthest phase that it, or a part of it, has come to. */
  milestone?: Milestone;
  event_count: number;
  last_event?: { uid: string; event_type: string; milestone?: Milestone | 'none'; timestamp: string };
}

interface TraceFields {
  tenant_id: string;
  correlation_id: string;
  aggregate_id?: string;
  aggregates?: string[] | null;
  /** How far each of the aggregates has come. */
  by_aggregate?: AggregateStatus[] | null;
  kind?: Kind;
  status: Milestone;
  /** The phase that whatever is furthest ahead has come to. */
  furthest?: Milestone;
  /** The trouble that is open, if any. */
  exception?: string;
  milestones?: MilestoneReached[] | null;
  first_event_at?: string;
  last_event_at?: string;
  last_location?: Location & { city?: string; country?: string; time_zone?: string };
  event_count: number;
  voided_count?: number;
  unknown_count?: number;
  /** A piece that has arrived is also among those that departed. */
  pieces?: { total: number; by_milestone?: Partial<Record<Milestone, number>> | null };
  legs?: Leg[] | null;
  estimated_at?: string;
  /** What is odd about the journey, as codes. */
  anomalies?: string[] | null;
  /** When the last of its events was received. */
  updated_at?: string;
  /** How many copies of each event were dropped, by its uid; those without are left out. */
  copies?: Record<string, number>;
}

/** What JSON.parse makes of a trace's response, before the payloads are put back in as text. */
export interface TraceWire extends TraceFields {
  events?: TraceEventFields[] | null;
}

export interface Trace extends TraceFields {
  events: TraceEvent[];
  /** The whole response. */
  rawText: string;
}
