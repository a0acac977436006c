import { Popover, UnstyledButton } from '@mantine/core';
import { ChevronDown, X } from 'lucide-react';
import type { ReactNode } from 'react';
import { useI18n } from '../i18n/i18n';
import classes from './filters.module.css';

interface FilterButtonProps {
  label: string;
  /** What it is set to, in words; undefined while it is not. */
  value: string | undefined;
  onClear: () => void;
  children: ReactNode;
}

/** A filter: its name, what it is set to, and behind it what it can be set to. */
export function FilterButton({ label, value, onClear, children }: FilterButtonProps) {
  const { t } = useI18n();
  return (
    <span className={classes.filter} data-set={value !== undefined || undefined}>
      <Popover position="bottom-start" shadow="md" trapFocus returnFocus withinPortal>
        <Popover.Target>
          <UnstyledButton className={classes.button}>
            {label}
            {value !== undefined && <strong>{value}</strong>}
            <ChevronDown size={14} aria-hidden />
          </UnstyledButton>
        </Popover.Target>
        <Popover.Dropdown className={classes.dropdown} aria-label={label}>
          {children}
        </Popover.Dropdown>
      </Popover>
      {value !== undefined && (
        <UnstyledButton className={classes.clear} aria-label={t.finder.remove(label, value)} onClick={onClear}>
          <X size={13} aria-hidden />
        </UnstyledButton>
      )}
    </span>
  );
}
