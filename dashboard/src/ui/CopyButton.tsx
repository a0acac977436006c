import { ActionIcon, Button, Tooltip } from '@mantine/core';
import { Check, Copy, X } from 'lucide-react';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useI18n } from '../i18n/i18n';
import { copyText } from './copy';

interface CopyButtonProps {
  /** What is copied; a function when it is costly to make. */
  value: string | (() => string);
  label: string;
  /** Show the label beside the icon. */
  withLabel?: boolean;
  icon?: ReactNode;
}

type Outcome = 'copied' | 'failed' | undefined;

export function CopyButton({ value, label, withLabel = false, icon }: CopyButtonProps) {
  const { t } = useI18n();
  const [outcome, setOutcome] = useState<Outcome>();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);

  const copy = async () => {
    const ok = await copyText(typeof value === 'function' ? value() : value);
    setOutcome(ok ? 'copied' : 'failed');
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setOutcome(undefined), 1_600);
  };

  const said = outcome === 'copied' ? t.trace.copied : outcome === 'failed' ? t.trace.copyFailed : label;
  const glyph =
    outcome === 'copied' ? (
      <Check size={14} aria-hidden />
    ) : outcome === 'failed' ? (
      <X size={14} aria-hidden />
    ) : (
      (icon ?? <Copy size={14} aria-hidden />)
    );
  if (withLabel) {
    return (
      <Button variant="default" size="xs" leftSection={glyph} onClick={() => void copy()}>
        <span aria-live="polite">{said}</span>
      </Button>
    );
  }
  return (
    <Tooltip label={said} withArrow openDelay={300}>
      <ActionIcon variant="subtle" color="gray" size={24} aria-label={said} onClick={() => void copy()}>
        {glyph}
      </ActionIcon>
    </Tooltip>
  );
}
