import { Button, Popover, TextInput } from '@mantine/core';
import { CalendarClock, ChevronDown } from 'lucide-react';
import { type FormEvent, useEffect, useState } from 'react';
import { useI18n } from '../i18n/i18n';
import classes from './frame.module.css';
import { onCommand } from './keys';
import { absolute, bounds, type Range, type RelativeRange, relative, relativeRanges, useRange } from './range';

/** Of when pages show figures: so long until now, or a stretch that stays. It stands in the address. */
export function RangePicker() {
  const { t, f } = useI18n();
  const [range, setRange] = useRange();
  const [opened, setOpened] = useState(false);
  useEffect(() => onCommand('range', () => setOpened(true)), []);
  const choose = (next: Range) => {
    setRange(next);
    setOpened(false);
  };
  const label = range.kind === 'relative' ? t.range.last[range.name] : f.stretch(range.from, range.to);
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" shadow="md" trapFocus returnFocus withinPortal>
      <Popover.Target>
        <Button
          variant="default"
          size="xs"
          h={32}
          className={classes.range}
          onClick={() => setOpened(!opened)}
          leftSection={<CalendarClock size={15} aria-hidden />}
          rightSection={<ChevronDown size={13} aria-hidden />}
          aria-label={t.range.choose(label)}
          aria-expanded={opened}
          data-testid="range"
        >
          <span className="num">{label}</span>
        </Button>
      </Popover.Target>
      <Popover.Dropdown className={classes.ranges} aria-label={t.range.title}>
        <div className={classes.rangeList}>
          {(Object.keys(relativeRanges) as RelativeRange[]).map((name) => (
            <Button
              key={name}
              variant={range.kind === 'relative' && range.name === name ? 'light' : 'subtle'}
              color={range.kind === 'relative' && range.name === name ? undefined : 'gray'}
              size="xs"
              justify="flex-start"
              aria-pressed={range.kind === 'relative' && range.name === name}
              onClick={() => choose(relative(name))}
            >
              {t.range.last[name]}
            </Button>
          ))}
        </div>
        <StretchForm range={range} onChoose={choose} />
      </Popover.Dropdown>
    </Popover>
  );
}

/** Two instants, written: with seconds and milliseconds where they matter. */
function StretchForm({ range, onChoose }: { range: Range; onChoose: (range: Range) => void }) {
  const { t } = useI18n();
  const now = bounds(range, Date.now());
  const [from, setFrom] = useState(() => new Date(now.from).toISOString());
  const [to, setTo] = useState(() => new Date(now.to).toISOString());
  const [wrong, setWrong] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const [begin, end] = [Date.parse(from), Date.parse(to)];
    if (end > begin) onChoose(absolute(begin, end));
    else setWrong(true);
  };
  return (
    <form className={classes.stretch} onSubmit={submit}>
      <TextInput
        size="xs"
        label={t.range.from}
        value={from}
        onChange={(e) => setFrom(e.currentTarget.value)}
        spellCheck={false}
      />
      <TextInput
        size="xs"
        label={t.range.to}
        value={to}
        onChange={(e) => setTo(e.currentTarget.value)}
        spellCheck={false}
        {...(wrong && { error: t.range.wrong })}
      />
      <Button type="submit" size="xs" variant="light">
        {t.range.apply}
      </Button>
      <p className={classes.rangeNote}>{t.range.note}</p>
    </form>
  );
}
