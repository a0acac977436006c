export type YamlKind = 'key' | 'string' | 'number' | 'literal' | 'comment' | 'plain';

export interface YamlToken {
  kind: YamlKind;
  text: string;
}

const key = /^(\s*(?:- )*)((?:"[^"]*"|'[^']*'|[^\s#"'[\]{},:][^#:]*?)\s*)(:)(?=\s|$)/;
const literal = /^(?:true|false|null|~|yes|no|on|off)$/i;
const number = /^[-+]?(?:\d[\d_]*)(?:\.\d+)?(?:e[-+]?\d+)?$/i;

/**
 * A line of YAML in pieces to be coloured. It is for the eye only: what it takes for something else, as inside a text of several
 * lines, is shown all the same, letter by letter.
 */
export function yamlTokens(line: string): YamlToken[] {
  const tokens: YamlToken[] = [];
  const push = (kind: YamlKind, text: string) => {
    if (text) tokens.push({ kind, text });
  };
  let rest = line;
  const match = key.exec(rest);
  if (match) {
    const [whole, indent = '', name = '', colon = ''] = match;
    push('plain', indent);
    push('key', name);
    push('plain', colon);
    rest = rest.slice(whole.length);
  }
  const comment = commentAt(rest);
  const value = comment < 0 ? rest : rest.slice(0, comment);
  const [, before = '', core = '', after = ''] = /^(\s*(?:- )*)(.*?)(\s*)$/.exec(value) ?? [];
  push('plain', before);
  push(kindOf(core), core);
  push('plain', after);
  if (comment >= 0) push('comment', rest.slice(comment));
  return tokens;
}

function kindOf(text: string): YamlKind {
  if (/^["']/.test(text)) return 'string';
  if (number.test(text)) return 'number';
  return literal.test(text) ? 'literal' : 'plain';
}

/** Where a comment begins: a # at the beginning or after a space, outside quotes; -1 when there is none. */
function commentAt(text: string): number {
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i);
    if (quote) {
      if (c === '\\' && quote === '"') i++;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === "'") {
      // An apostrophe inside a word opens nothing.
      if (i === 0 || /[\s[{,:]/.test(text.charAt(i - 1))) quote = c;
    } else if (c === '#' && (i === 0 || /\s/.test(text.charAt(i - 1)))) return i;
  }
  return -1;
}
