interface Edge {
  from: string;
  to: string;
}

/**
 * One shortest circle of each knot in a graph. A knot is a set of nodes that all reach each other; once its shortest
 * circle is cut, the next look shows what is left of it. Empty when the graph has no circle.
 */
export function circles(edges: readonly Edge[]): string[][] {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of edges) {
    const reached = next.get(from) ?? new Set();
    next.set(from, reached.add(to));
  }
  return knots(next).map((knot) => {
    const ways = knot.map((node) => wayBack(node, next)).filter((way) => way.length > 0);
    return ways.reduce((shortest, way) => (way.length < shortest.length ? way : shortest));
  });
}

/** The strongly connected parts that have a circle in them (Tarjan's algorithm). */
function knots(next: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const found: string[][] = [];
  const stack: string[] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const visit = (node: string): number => {
    const at = index.size;
    index.set(node, at);
    let lowest = at;
    stack.push(node);
    for (const other of next.get(node) ?? []) {
      if (!index.has(other)) lowest = Math.min(lowest, visit(other));
      else if (stack.includes(other)) lowest = Math.min(lowest, low.get(other) ?? index.get(other) ?? at);
    }
    low.set(node, lowest);
    if (lowest === at) {
      const knot = stack.splice(stack.indexOf(node));
      if (knot.length > 1 || next.get(node)?.has(node)) found.push(knot);
    }
    return lowest;
  };
  for (const node of next.keys()) if (!index.has(node)) visit(node);
  return found;
}

/** The shortest way from `start` to itself, without its second mention. */
function wayBack(start: string, next: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const before = new Map<string, string>();
  const queue = [start];
  for (const node of queue) {
    for (const other of next.get(node) ?? []) {
      if (other === start) {
        const way = [node];
        for (let at = node; at !== start;) way.unshift((at = before.get(at) ?? start));
        return way;
      }
      if (before.has(other)) continue;
      before.set(other, node);
      queue.push(other);
    }
  }
  return [];
}
