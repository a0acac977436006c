import { describe, expect, it } from 'vitest';
import { type LayoutEdge, type LayoutNode, layout } from './layout';

const node = (id: string, pipeline = 'p', hop = id): LayoutNode => ({ id, pipeline, hop });
const edge = (topic: string, from: string[] | null, to: string[] | null): LayoutEdge => ({ topic, from, to });

/** A pseudo-random number generator, so that a failure can be repeated. */
const random = (seed: number) => () => {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
  return seed / 2_147_483_648;
};

describe('layout', () => {
  it('draws a pipeline in one row', () => {
    const ids = ['validate', 'dedupe', 'enrich', 'persist'];
    const drawn = layout(
      ids.map((id) => node(id)),
      [
        edge('in', [], ['validate']),
        edge('d', ['validate'], ['dedupe']),
        edge('e', ['dedupe'], ['enrich']),
        edge('s', ['enrich'], ['persist']),
        edge('out', ['persist'], null),
      ],
    );
    expect(ids.map((id) => drawn.places.get(id))).toEqual(ids.map((_, column) => ({ column, row: 0 })));
    expect([drawn.columns, drawn.rows]).toEqual([4, 1]);
    expect(drawn.order).toEqual(ids);
    expect(drawn.links.map((l) => [l.from, l.to])).toContainEqual([undefined, 'validate']);
    expect(drawn.links.map((l) => [l.from, l.to])).toContainEqual(['persist', undefined]);
  });

  it('joins fused stages without a queue', () => {
    const drawn = layout([node('a', 'p', 'a'), node('b', 'p', 'a'), node('c')], [edge('t', ['b'], ['c'])]);
    expect(drawn.links).toContainEqual({ key: ' a b', topic: undefined, from: 'a', to: 'b', via: [] });
    expect(drawn.places.get('c')).toEqual({ column: 2, row: 0 });
  });

  it('puts what is worse first, and keeps what belongs together', () => {
    const nodes = [node('a', 'p'), node('b', 'q'), node('c', 'q')];
    const drawn = layout(nodes, [edge('t', ['b'], ['c'])], (ids) => (ids.includes('b') ? 0 : 1));
    expect(drawn.places.get('b')?.row).toBe(0);
    expect(drawn.places.get('c')?.row).toBe(0);
    expect(drawn.places.get('a')?.row).toBe(1);
    expect(drawn.order).toEqual(['b', 'c', 'a']);
  });

  it('leads a line over several columns past the stages between', () => {
    const drawn = layout(
      [node('a'), node('b'), node('c')],
      [edge('x', ['a'], ['b']), edge('y', ['b'], ['c']), edge('z', ['a'], ['c'])],
    );
    const long = drawn.links.find((l) => l.topic === 'z');
    expect(long?.via).toHaveLength(1);
    expect(long?.via[0]?.column).toBe(1);
    expect(long?.via[0]?.row).not.toBe(drawn.places.get('b')?.row);
  });

  it('survives loops and edges to what is not there', () => {
    const drawn = layout(
      [node('a'), node('b')],
      [edge('x', ['a'], ['b']), edge('y', ['b'], ['a']), edge('z', ['gone'], ['a'])],
    );
    expect(drawn.places.size).toBe(2);
    expect(drawn.places.get('a')?.column).not.toBe(drawn.places.get('b')?.column);
    expect(layout([], [])).toMatchObject({ columns: 0, rows: 0, links: [] });
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('puts no two into one place, and leads to the right (%i)', (seed) => {
    const next = random(seed);
    const nodes = Array.from({ length: 60 }, (_, i) => node(`s${i}`, `p${i % 5}`));
    const edges = Array.from({ length: 90 }, (_, i) => {
      const from = Math.floor(next() * 59);
      const to = from + 1 + Math.floor(next() * (59 - from));
      return edge(`t${i}`, [`s${from}`], [`s${to}`]);
    });
    const drawn = layout(nodes, edges);
    const taken = [...drawn.places.values(), ...drawn.links.flatMap((l) => l.via)].map((p) => `${p.column} ${p.row}`);
    expect(new Set(taken).size).toBe(taken.length);
    for (const { from = '', to = '' } of drawn.links) {
      expect(drawn.places.get(from)?.column ?? -1).toBeLessThan(
        drawn.places.get(to)?.column ?? Number.POSITIVE_INFINITY,
      );
    }
  });
});
