import { useMemo } from 'react';
import { prettyTokens, type Token } from '../api/lossless';
import classes from './panel.module.css';

interface JsonViewProps {
  text: string;
  label: string;
  /** As it is, without layout or colours. */
  plain?: boolean;
}

/** Beyond this many characters colours would cost more than they help. */
const colourUpTo = 60_000;

/** A JSON text, laid out and coloured; its numbers and strings are those of the text, never parsed. */
export function JsonView({ text, label, plain = false }: JsonViewProps) {
  const tokens = useMemo<Token[] | undefined>(() => (plain ? undefined : layOut(text)), [text, plain]);
  const coloured = tokens && text.length <= colourUpTo;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
    <section className={classes.code} tabIndex={0} aria-label={label}>
      <pre className="mono">
        {coloured
          ? tokens.map((token, i) =>
              token.kind === 'space' || token.kind === 'punctuation' ? (
                token.text
              ) : (
                // biome-ignore lint/suspicious/noArrayIndexKey: the tokens of one text never move
                <span key={i} data-kind={token.kind}>
                  {token.text}
                </span>
              ),
            )
          : (tokens?.map((token) => token.text).join('') ?? text)}
      </pre>
    </section>
  );
}

/** Undefined for what is not JSON: it is then shown as it is. */
function layOut(text: string): Token[] | undefined {
  try {
    return prettyTokens(text);
  } catch {
    return undefined;
  }
}
