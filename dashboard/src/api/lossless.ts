// JSON as text. JSON.parse turns every number into a double: 9007199254740993 becomes 9007199254740992, 1.10 becomes 1.1.
// What a carrier sent must be shown as it was sent, so payloads are sliced out of the response instead of being parsed.
// The functions here expect valid JSON (JSON.parse has seen it first) and report where it is not.

export class JsonTextError extends Error {
  constructor(what: string, at: number) {
    super(`${what} at offset ${at}`);
    this.name = 'JsonTextError';
  }
}

const isSpace = (c: number): boolean => c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;

function skipSpace(text: string, from: number): number {
  let i = from;
  while (i < text.length && isSpace(text.charCodeAt(i))) i++;
  return i;
}

/** The offset behind the string that starts at `from`. */
function endOfString(text: string, from: number): number {
  if (text[from] !== '"') throw new JsonTextError('a string is missing', from);
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i + 1;
  }
  throw new JsonTextError('a string does not end', from);
}

/** The offset behind the value that starts at `from`. It does not recurse, so that depth cannot exhaust the stack. */
function endOfValue(text: string, from: number): number {
  const first = text[from];
  if (first === '"') return endOfString(text, from);
  if (first !== '{' && first !== '[') {
    let i = from;
    while (i < text.length && !',]}'.includes(text.charAt(i)) && !isSpace(text.charCodeAt(i))) i++;
    if (i === from) throw new JsonTextError('a value is missing', from);
    return i;
  }
  let depth = 0;
  for (let i = from; i < text.length; ) {
    const c = text[i];
    if (c === '"') {
      i = endOfString(text, i);
      continue;
    }
    if (c === '{' || c === '[') depth++;
    if (c === '}' || c === ']') depth--;
    i++;
    if (depth === 0) return i;
  }
  throw new JsonTextError('an object or array does not end', from);
}

/** The members of an object, each value as its text; undefined when the text is no object. The last of equal keys counts. */
export function members(text: string): Map<string, string> | undefined {
  let i = skipSpace(text, 0);
  if (text[i] !== '{') return undefined;
  const found = new Map<string, string>();
  i = skipSpace(text, i + 1);
  if (text[i] === '}') return found;
  for (;;) {
    const keyEnd = endOfString(text, i);
    const key = JSON.parse(text.slice(i, keyEnd)) as string;
    i = skipSpace(text, keyEnd);
    if (text[i] !== ':') throw new JsonTextError('a colon is missing', i);
    const start = skipSpace(text, i + 1);
    const end = endOfValue(text, start);
    found.set(key, text.slice(start, end));
    i = skipSpace(text, end);
    if (text[i] === '}') return found;
    if (text[i] !== ',') throw new JsonTextError('a comma is missing', i);
    i = skipSpace(text, i + 1);
  }
}

/** The elements of an array, each as its text; undefined when the text is no array. */
export function elements(text: string): string[] | undefined {
  let i = skipSpace(text, 0);
  if (text[i] !== '[') return undefined;
  const found: string[] = [];
  i = skipSpace(text, i + 1);
  if (text[i] === ']') return found;
  for (;;) {
    const end = endOfValue(text, i);
    found.push(text.slice(i, end));
    i = skipSpace(text, end);
    if (text[i] === ']') return found;
    if (text[i] !== ',') throw new JsonTextError('a comma is missing', i);
    i = skipSpace(text, i + 1);
  }
}

export type TokenKind = 'key' | 'string' | 'number' | 'literal' | 'punctuation' | 'space';

export interface Token {
  kind: TokenKind;
  text: string;
}

/** The tokens of a JSON text laid out with two spaces a level. Every scalar is as it was in the text. */
export function prettyTokens(text: string): Token[] {
  const tokens: Token[] = [];
  const stack: ('{' | '[')[] = [];
  let expectKey = false;
  const push = (kind: TokenKind, value: string) => tokens.push({ kind, text: value });
  const line = () => push('space', `\n${'  '.repeat(stack.length)}`);

  for (let i = skipSpace(text, 0); i < text.length; i = skipSpace(text, i)) {
    const c = text.charAt(i);
    if (c === '{' || c === '[') {
      const close = c === '{' ? '}' : ']';
      const next = skipSpace(text, i + 1);
      if (text[next] === close) {
        push('punctuation', c + close);
        i = next + 1;
        continue;
      }
      push('punctuation', c);
      stack.push(c);
      expectKey = c === '{';
      line();
      i++;
    } else if (c === '}' || c === ']') {
      stack.pop();
      line();
      push('punctuation', c);
      i++;
    } else if (c === ',') {
      push('punctuation', c);
      expectKey = stack.at(-1) === '{';
      line();
      i++;
    } else if (c === ':') {
      push('punctuation', ': ');
      expectKey = false;
      i++;
    } else {
      const end = endOfValue(text, i);
      push(expectKey ? 'key' : kindOf(c), text.slice(i, end));
      i = end;
    }
  }
  return tokens;
}

const kindOf = (first: string): TokenKind => (first === '"' ? 'string' : /[-0-9]/.test(first) ? 'number' : 'literal');

/** A JSON text laid out with two spaces a level, its numbers and strings untouched. */
export const pretty = (text: string): string =>
  prettyTokens(text)
    .map((t) => t.text)
    .join('');

/** The text inside a JSON string (a teletype message, say); undefined when the value is no string. */
export function stringValue(text: string): string | undefined {
  const start = skipSpace(text, 0);
  return text[start] === '"' ? (JSON.parse(text) as string) : undefined;
}
