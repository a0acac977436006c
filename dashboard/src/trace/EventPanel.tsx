import { Button, SegmentedControl, Tabs } from '@mantine/core';
import { Download } from 'lucide-react';
import { type ReactNode, useMemo, useState } from 'react';
import { save } from '../api/download';
import { members, stringValue } from '../api/lossless';
import type { TraceEvent } from '../api/types';
import { useI18n } from '../i18n/i18n';
import { CopyButton } from '../ui/CopyButton';
import { milestoneOf } from './chronology';
import { hexLines } from './hex';
import { JsonView } from './JsonView';
import { PassportPanel } from './PassportPanel';
import { Personal } from './Personal';
import classes from './panel.module.css';

type Layout = 'pretty' | 'asSent' | 'text' | 'hex';

interface EventPanelProps {
  event: TraceEvent;
  /** Without a frame of its own. */
  plain?: boolean;
}

/** The data of one event: as the sender sent them, as Rastro reads them, and what the stages added. */
export function EventPanel({ event, plain = false }: EventPanelProps) {
  const { t } = useI18n();
  const [tab, setTab] = useState<string>('original');
  const milestone = milestoneOf(event);
  const { normalised, enriched } = parts(event);
  return (
    <section className={plain ? undefined : classes.panel} aria-label={t.trace.raw.title} data-testid="event-panel">
      <header className={classes.head}>
        <h2 className={`${classes.title} mono`}>{event.event_type}</h2>
        {milestone && <span className="secondary">{t.trace.milestone[milestone]}</span>}
      </header>
      <dl className={classes.ids}>
        <Id label={t.trace.raw.eventId} value={event.event_id} />
        {event.aggregate_id && <Id label={t.trace.raw.aggregate} value={event.aggregate_id} />}
        <Id label={t.trace.raw.uid} value={event.uid} />
      </dl>
      {event.personal && <Personal key={event.uid} uid={event.uid} />}
      <Tabs color="var(--brand)" value={tab} onChange={(next) => setTab(next ?? 'original')} keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab className={classes.tab} value="original">
            {t.trace.raw.original}
          </Tabs.Tab>
          <Tabs.Tab className={classes.tab} value="normalised">
            {t.trace.raw.normalised}
          </Tabs.Tab>
          <Tabs.Tab className={classes.tab} value="enriched">
            {t.trace.raw.enriched}
          </Tabs.Tab>
          <Tabs.Tab className={classes.tab} value="passport">
            {t.journey.passport.title}
          </Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="original">
          {event.payloadText === undefined ? (
            <p className={classes.none}>{t.trace.raw.none}</p>
          ) : (
            <Payload key={event.uid} text={event.payloadText} name={`${event.event_id}.json`} />
          )}
        </Tabs.Panel>
        <Tabs.Panel value="normalised">
          <Plain text={normalised} label={t.trace.raw.normalised} />
        </Tabs.Panel>
        <Tabs.Panel value="enriched">
          {enriched === undefined || enriched === '{}' ? (
            <p className={classes.none}>{t.trace.raw.nothingAdded}</p>
          ) : (
            <Plain text={enriched} label={t.trace.raw.enriched} />
          )}
        </Tabs.Panel>
        <Tabs.Panel value="passport">
          <PassportPanel key={event.uid} event={event} />
        </Tabs.Panel>
      </Tabs>
    </section>
  );
}

function Id({ label, value }: { label: string; value: string }) {
  const { t } = useI18n();
  return (
    <div>
      <dt>{label}</dt>
      <dd className="mono">
        <span title={value}>{value}</span>
        <CopyButton value={value} label={`${t.trace.copyId}: ${value}`} />
      </dd>
    </div>
  );
}

/** The event without what the sender's payload and the stages say: each value is still the text of the response. */
function parts(event: TraceEvent): { normalised: string; enriched: string | undefined } {
  const all = members(event.rawText) ?? new Map<string, string>();
  const own = [...all].filter(([key]) => key !== 'payload' && key !== 'enrichment');
  return {
    normalised: `{${own.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`,
    enriched: all.get('enrichment'),
  };
}

function Payload({ text, name }: { text: string; name: string }) {
  const { t, f } = useI18n();
  const inner = stringValue(text);
  const [layout, setLayout] = useState<Layout>(inner === undefined ? 'pretty' : 'text');
  const layouts: Layout[] = [inner === undefined ? 'pretty' : 'text', 'asSent', 'hex'];
  const shown = layout === 'text' ? (inner ?? text) : text;
  const names: Record<Layout, string> = { ...t.trace.raw, hex: t.journey.hex };
  return (
    <>
      <Toolbar text={shown} name={name}>
        <SegmentedControl
          size="xs"
          aria-label={t.trace.raw.layout}
          value={layout}
          onChange={(value) => setLayout(value as Layout)}
          data={layouts.map((value) => ({ value, label: names[value] }))}
        />
      </Toolbar>
      {layout === 'hex' ? (
        <HexView text={text} label={t.trace.raw.original} />
      ) : (
        <JsonView text={shown} plain={layout !== 'pretty'} label={t.trace.raw.original} />
      )}
      <p className={`${classes.foot} num`}>
        {t.trace.raw.bytes(f.count(new TextEncoder().encode(text).length))} · {t.trace.raw.exact}
      </p>
    </>
  );
}

/** Beyond this many bytes a hex dump is a file's business. */
const hexUpTo = 64_000;

function HexView({ text, label }: { text: string; label: string }) {
  const lines = useMemo(() => hexLines(text.slice(0, hexUpTo)), [text]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
    <section className={classes.code} tabIndex={0} aria-label={label}>
      <pre className={`${classes.hex} mono`}>
        {lines.map((line) => (
          <span key={line.offset}>
            <span data-kind="literal">{line.offset}</span>
            {`  ${line.hex}  `}
            <span data-kind="string">{line.text}</span>
            {'\n'}
          </span>
        ))}
        {text.length > hexUpTo && '…'}
      </pre>
    </section>
  );
}

function Plain({ text, label }: { text: string; label: string }) {
  return (
    <>
      <Toolbar text={text} />
      <JsonView text={text} label={label} />
    </>
  );
}

function Toolbar({ text, name, children }: { text: string; name?: string; children?: ReactNode }) {
  const { t } = useI18n();
  const download = () => save(new Blob([text], { type: 'application/json' }), name ?? 'event.json');
  return (
    <div className={classes.toolbar}>
      {children}
      <span className={classes.tools}>
        {name && (
          <Button variant="default" size="xs" leftSection={<Download size={14} aria-hidden />} onClick={download}>
            {t.trace.download}
          </Button>
        )}
        <CopyButton withLabel value={text} label={t.trace.copyJson} />
      </span>
    </div>
  );
}
