import { Autocomplete, Button } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { Info, Search, TriangleAlert } from 'lucide-react';
import { type FormEvent, useEffect, useId, useRef, useState } from 'react';
import { useMe } from '../app/session';
import { searchAttribute } from '../frame/keys';
import { useI18n } from '../i18n/i18n';
import { cleaned, looksLike } from './identify';
import { useRecents } from './recent';
import classes from './search.module.css';

interface SearchBoxProps {
  /** The large box of a page, which says what a number looks like. */
  large?: boolean;
  /** Put the cursor into it. */
  focus?: boolean;
  /** Offer the traces last opened; off where the page lists them anyway. */
  offerRecents?: boolean;
}

/** Takes an identifier and goes to its trace. */
export function SearchBox({ large = false, focus = false, offerRecents = true }: SearchBoxProps) {
  const { t } = useI18n();
  const me = useMe();
  const navigate = useNavigate();
  const { recents } = useRecents(`${me.tenant_id}/${me.subject}`);
  const [text, setText] = useState('');
  const input = useRef<HTMLInputElement>(null);
  const hintId = useId();

  useEffect(() => {
    if (focus) input.current?.focus();
  }, [focus]);

  const go = (value: string) => {
    const id = cleaned(value);
    if (!id) {
      input.current?.focus();
      return;
    }
    setText('');
    input.current?.blur();
    void navigate({ to: '/traces/$id', params: { id } });
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    go(text);
  };

  const kind = looksLike(text);
  const warn = kind?.endsWith('BadDigit') ?? false;
  return (
    <form onSubmit={submit} className={large ? classes.large : undefined}>
      <search>
        <div className={classes.row}>
          <Autocomplete
            ref={input}
            className={classes.input}
            size={large ? 'md' : 'sm'}
            aria-label={t.search.label}
            {...(large && { 'aria-describedby': hintId })}
            placeholder={large ? t.search.placeholderLong : t.search.placeholder}
            data={
              offerRecents && recents.length > 0 ? [{ group: t.search.recent, items: recents.map((r) => r.id) }] : []
            }
            value={text}
            onChange={setText}
            onOptionSubmit={go}
            leftSection={<Search size={large ? 18 : 16} aria-hidden />}
            {...(!large && { rightSection: <kbd className={classes.key}>/</kbd>, rightSectionPointerEvents: 'none' })}
            autoComplete="off"
            autoCapitalize="off"
            spellCheck={false}
            enterKeyHint="search"
            maxLength={256}
            comboboxProps={{ shadow: 'md' }}
            {...{ [searchAttribute]: true }}
          />
          {large && (
            <Button type="submit" size="md">
              {t.search.submit}
            </Button>
          )}
        </div>
        {large && (
          <p id={hintId} className={classes.hint} data-warn={warn || undefined} aria-live="polite">
            {warn ? <TriangleAlert size={14} aria-hidden /> : <Info size={14} aria-hidden />}
            {kind ? t.search.looksLike[kind] : t.search.hint}
          </p>
        )}
      </search>
    </form>
  );
}
